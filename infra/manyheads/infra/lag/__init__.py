"""How far consumer groups are behind, how old what waits is, when they will have caught up, and whether that is well.

:class:`LagMonitor` measures; :mod:`~manyheads.infra.lag.model` is what it says; the rules are in
:mod:`~manyheads.infra.lag.judge`.
"""

from manyheads.infra.lag.judge import Rules
from manyheads.infra.lag.model import (
    DeadLetters,
    GroupLag,
    LagSnapshot,
    LagState,
    Member,
    PartitionLag,
    Stage,
)
from manyheads.infra.lag.monitor import Clock, LagMonitor

__all__ = [
    "Clock",
    "DeadLetters",
    "GroupLag",
    "LagMonitor",
    "LagSnapshot",
    "LagState",
    "Member",
    "PartitionLag",
    "Rules",
    "Stage",
]
