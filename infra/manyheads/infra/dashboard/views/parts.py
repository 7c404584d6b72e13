"""What views are made of."""

from dataclasses import dataclass
from enum import StrEnum

from manyheads.infra.dashboard.sparkline import Line
from manyheads.infra.lag.model import Stage


class Tone(StrEnum):
    """How something is meant, as a style class."""

    PLAIN = ""
    CALM = "calm"
    LIVE = "live"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its unit, a remark, and the last 15 minutes."""

    value: str
    note: str = ""
    tone: Tone = Tone.PLAIN
    lines: tuple[Line, ...] = ()
    ceiling: float = 0.0
    """the least that the full height of the chart stands for"""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that keeps the page from showing more: what is the case, and what to do."""

    what: str
    todo: str
    tone: Tone = Tone.WARN


def stage_name(stage: str, cell: str | None) -> str:
    """What people call a stage: ``Encoder``, ``Heads c0``."""
    return "Encoder" if stage == Stage.ENCODER else f"Heads {cell}"
