"""The states that ``manyheads lag --fail-on`` takes; here, so that ``--help`` needs nothing of how they are judged."""

from enum import StrEnum


class FailOn(StrEnum):
    """A state of :class:`manyheads.infra.lag.LagState`, and all that are worse."""

    WARN = "WARN"
    STALL = "STALL"
    STOP = "STOP"
    REWIND = "REWIND"
    ERR = "ERR"
