"""Numbers as people read them: at most three significant digits, a unit, and a dash for what is not known."""

UNKNOWN = "–"  # noqa: RUF001 - an en dash: as wide as a digit
NEVER = "never"
CAUGHT_UP = "caught up"

_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400
_AN_HOUR_AND_A_HALF_S = 5_400
_TWO_DAYS_S = 2 * _DAY_S


def count(number: float) -> str:
    """A whole number with its thousands apart: ``12,345``."""
    return f"{round(number):,}"


def short_count(number: float) -> str:
    """A whole number in little room: ``999``, ``12.3k``, ``4.56M``."""
    if number < 1_000:
        return f"{round(number)}"
    for divisor, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        scaled = number / divisor
        if scaled < 999.5:
            return f"{_three_digits(scaled)}{unit}"
    return f"{number:.2e}"


def rate(per_s: float | None) -> str:
    """Something a second: ``0.25/s``, ``12.3/s``, ``1,240/s``."""
    if per_s is None:
        return UNKNOWN
    if per_s == 0:
        return "0/s"
    if per_s < 0.01:
        return "<0.01/s"
    return f"{per_s:,.0f}/s" if per_s >= 99.95 else f"{_three_digits(per_s)}/s"


def milliseconds(ms: float | None) -> str:
    """A latency: ``0.82 ms``, ``23.4 ms``, ``1.24 s``."""
    if ms is None:
        return UNKNOWN
    if ms < 999.5:
        return f"{_three_digits(ms)} ms"
    return seconds(ms / 1_000)


def seconds(s: float | None) -> str:
    """A span of time: ``<0.1 s``, ``0.4 s``, ``59 s``, ``3 min``, ``2.5 h``, ``4 days``."""
    if s is None:
        return UNKNOWN
    if s < 9.95:
        return "<0.1 s" if 0 < s < 0.05 else f"{s:.1f} s"
    if s < _MINUTE_S - 0.5:
        return f"{s:.0f} s"
    if s < _AN_HOUR_AND_A_HALF_S:
        return f"{max(1, round(s / _MINUTE_S))} min"
    if s < _TWO_DAYS_S:
        return f"{s / _HOUR_S:.1f} h"
    return f"{s / _DAY_S:.0f} days"


def ago(s: float | None) -> str:
    """How long ago: ``just now``, ``4 s ago``."""
    if s is None:
        return UNKNOWN
    return "just now" if s < 1.5 else f"{seconds(round(s) if s >= 1 else s).replace('.0 s', ' s')} ago"


def eta(s: float | None) -> str:
    """When there is no lag any more: ``caught up``, ``40 s``, ``never`` for what grows, a dash for what is unknown."""
    if s is None:
        return UNKNOWN
    if s == 0:
        return CAUGHT_UP
    return NEVER if s == float("inf") else seconds(s)


def share(part: float, whole: float) -> str:
    """A part of a whole as a percentage: ``0%``, ``0.12%``, ``3.4%``, ``100%``; a dash for a part of nothing."""
    if whole <= 0:
        return UNKNOWN
    percent = 100 * part / whole
    if percent == 0:
        return "0%"
    if percent < 0.01:
        return "<0.01%"
    if percent < 9.95:
        return f"{percent:.2g}%"
    return f"{percent:.0f}%" if percent < 99.5 or part == whole else ">99%"


def size(number: float | None) -> str:
    """Bytes, in powers of ten: ``812 B``, ``9.1 MB``, ``12.4 GB``."""
    if number is None:
        return UNKNOWN
    if number < 1_000:
        return f"{number:.0f} B"
    for divisor, unit in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")):
        scaled = number / divisor
        if scaled < 999.5 or unit == "TB":
            return f"{_three_digits(scaled)} {unit}"
    raise AssertionError("unreachable")


def _three_digits(number: float) -> str:
    if number < 9.995:
        text = f"{number:.2f}"
    elif number < 99.95:
        text = f"{number:.1f}"
    else:
        return f"{number:.0f}"
    return text.rstrip("0").rstrip(".") if number == round(number) else text
