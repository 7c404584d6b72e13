"""The lanes, as an option's choices: the module that has them imports what ``--help`` need not wait for."""

from enum import StrEnum


class LaneKind(StrEnum):
    """As :class:`manyheads.topics.names.Lane`."""

    INTERACTIVE = "interactive"
    BATCH = "batch"
