"""The model store: files by content, in a folder or wherever fsspec reaches.

``store`` puts and fetches; ``content`` hashes, checks and copies files; ``settings`` configures it.
"""

from manyheads.infra.store.settings import StoreSettings
from manyheads.infra.store.store import ModelStore

__all__ = ["ModelStore", "StoreSettings"]
