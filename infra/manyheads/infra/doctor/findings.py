"""What a check found: values, made by judges and shown by whoever asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_SHOWN = 3


class Status(StrEnum):
    """What a finding means for whoever runs the pipeline."""

    OK = "ok"
    WARN = "warn"
    """it works, and something will go wrong later or is less safe than it could be"""
    FAIL = "fail"
    """requests fail, or are not answered, because of this"""
    UNKNOWN = "unknown"
    """it could not be checked"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    area: str
    """what it belongs to, such as ``broker``"""
    subject: str
    """what was looked at, such as a topic's name"""
    status: Status
    seen: str
    """what was found, with its numbers"""
    advice: str = ""
    """what to do; empty if all is well"""


class Area:
    """Makes the findings of one area."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ok(self, subject: str, seen: str) -> Finding:
        return Finding(self.name, subject, Status.OK, seen)

    def warn(self, subject: str, seen: str, advice: str) -> Finding:
        return Finding(self.name, subject, Status.WARN, seen, advice)

    def fail(self, subject: str, seen: str, advice: str) -> Finding:
        return Finding(self.name, subject, Status.FAIL, seen, advice)

    def unknown(self, subject: str, why: str, advice: str = "") -> Finding:
        return Finding(self.name, subject, Status.UNKNOWN, why, advice)


def some(names: Iterable[object]) -> str:
    """The first few names, and how many more there are."""
    listed = [str(name) for name in names]
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, thing: str) -> str:
    """``1 head``, ``2,000 heads``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def worst(findings: Sequence[Finding]) -> Status:
    """The status that an exit code follows: fail before warn before unknown before ok."""
    found = {finding.status for finding in findings}
    order = (Status.FAIL, Status.WARN, Status.UNKNOWN)
    return next((status for status in order if status in found), Status.OK)
