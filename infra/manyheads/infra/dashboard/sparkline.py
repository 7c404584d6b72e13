"""Small charts as SVG: the last minutes of one figure, in the colours of the page that they stand in.

There may be a hundred of them on a page, so they are text and not charts of the charting library. They are pure
functions of their points; nothing but numbers gets into the markup.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[float | None]
"""One value for each slot of time, the oldest first; None where nothing is known."""

WIDTH, HEIGHT = 160, 36
_TOP, _BOTTOM = 4.0, 34.0


@dataclass(frozen=True, slots=True)
class Line:
    """One figure over time, and the style class of its stroke."""

    points: Points
    style: str = "line"


def sparkline(*lines: Line, ceiling: float = 0.0) -> str:
    """The lines in one chart from zero to the highest point, the area under the first one shaded.

    Args:
        lines: all with the same number of points.
        ceiling: the least that the full height stands for, so that noise near zero does not fill the chart.
    """
    known = [value for line in lines for value in line.points if value is not None]
    highest = max([*known, ceiling, 1e-9])
    parts = [
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">',
        f'<line class="base" x1="0" y1="{_BOTTOM + 0.5}" x2="{WIDTH}" y2="{_BOTTOM + 0.5}"/>',
    ]
    for index, line in enumerate(lines):
        for run in _runs(line.points, highest):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            if index == 0:
                parts.append(
                    f'<polygon class="area {line.style}" '
                    f'points="{run[0][0]:.1f},{_BOTTOM} {path} {run[-1][0]:.1f},{_BOTTOM}"/>'
                )
            parts.append(f'<polyline class="{line.style}" points="{path}"/>')
    parts.append("</svg>")
    return "".join(parts)


def _runs(points: Points, highest: float) -> list[list[tuple[float, float]]]:
    """The stretches without a gap, as x and y; a single point becomes a short dash."""
    step = WIDTH / max(1, len(points) - 1)
    runs: list[list[tuple[float, float]]] = []
    run: list[tuple[float, float]] = []
    for slot, value in enumerate(points):
        if value is None:
            runs.append(run)
            run = []
        else:
            run.append((slot * step, _BOTTOM - (_BOTTOM - _TOP) * min(1.0, value / highest)))
    runs.append(run)
    return [_visible(run) for run in runs if run]


def _visible(run: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(run) > 1:
        return run
    (x, y) = run[0]
    return [(max(0.0, x - 1.0), y), (min(float(WIDTH), x + 1.0), y)]
