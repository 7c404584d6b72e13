"""Where the model store is."""

from pathlib import Path

from pydantic import Field

from manyheads.infra.settings import Settings


class StoreSettings(Settings):
    """The model store's place, from ``MANYHEADS_STORE_URL`` and ``MANYHEADS_STORE_CACHE_DIR``, a file or arguments.

    Credentials do not belong into the URL: fsspec's file systems take them from their own environment and files.
    """

    store_url: str = Field(
        default=".manyheads/store",
        min_length=1,
        description="the model store: a folder, or a URL that fsspec opens, such as s3://models/manyheads",
    )
    store_cache_dir: Path | None = Field(
        default=None,
        description="a folder for files of a remote store; unset: ~/.cache/manyheads/artifacts",
    )
