"""What a stage sees of the registry."""

from dataclasses import dataclass
from typing import Protocol

from manyheads.infra.registry.snapshot import RegistrySnapshot


class RegistryReader(Protocol):
    """Something that knows the registry now."""

    @property
    def snapshot(self) -> RegistrySnapshot:
        """The latest snapshot: no I/O, safe from any thread. Take it once per batch, so that a batch sees one state."""


@dataclass(frozen=True, slots=True)
class FixedRegistry:
    """A registry that never changes: for tools, and tests of what reads one."""

    snapshot: RegistrySnapshot
