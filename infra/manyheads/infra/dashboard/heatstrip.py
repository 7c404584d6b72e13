"""The last 15 minutes of many partitions as one picture: a row for each, a column for each slot. SVG, numbers only.

It fills the height that it is given, and is at least half as high as it is drawn.
"""

from collections.abc import Sequence
from itertools import groupby

from manyheads.infra.dashboard.history import OK_SHADES, SLOTS, Shades, state_of_shade

_ROW = 10
_GAP = 2


def heat_strip(rows: Sequence[Shades]) -> str:
    """One band a row, in the style classes ``l0`` to ``l4`` of an OK partition and the names of the other states."""
    height = max(1, len(rows) * (_ROW + _GAP) - _GAP)
    size = f'viewBox="0 0 {SLOTS} {height}" preserveAspectRatio="none" style="min-height:{height // 2}px"'
    parts = [f'<svg class="past" {size} aria-hidden="true">']
    for number, row in enumerate(rows):
        top, column = number * (_ROW + _GAP), 0
        for value, run in groupby(row):
            width = len(list(run))
            if value is not None:
                parts.append(
                    f'<rect class="{shade_class(value)}" x="{column}" y="{top}" width="{width}" height="{_ROW}"/>'
                )
            column += width
    parts.append("</svg>")
    return "".join(parts)


def shade_class(number: int) -> str:
    """The style class of a shade."""
    return f"l{number}" if number < OK_SHADES else state_of_shade(number).value
