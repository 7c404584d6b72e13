"""How a client behaves, beyond what most callers set."""

from dataclasses import dataclass, fields
from typing import TypeVar

from manyheads.topics.errors import ErrorCode, InvalidRequest

_Number = TypeVar("_Number", int, float)
_MOST = 2**31


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The rest of a client's settings. The defaults serve interactive traffic.

    Raises:
        InvalidRequest: invalid_argument, for a number that is out of range.
    """

    max_waiting: int = 10_000
    """requests that may wait for a slot once ``max_in_flight`` have one; beyond it ``predict`` raises Overloaded"""
    close_timeout_s: float = 5.0
    """how long ``close`` waits for answers that are still to come"""
    linger_ms: int = 0
    """how long a request may wait for others to travel with; they gather by themselves while one batch is on its way"""
    max_batch_bytes: int = 256 * 1024
    """size of one batch to one partition"""
    request_timeout_s: float = 10.0
    """after how long without a word from a broker a connection counts as dead and is made again"""
    metadata_max_age_s: float = 60.0
    """how soon partitions that were added to a topic are used"""

    hedge_budget: float = 0.0
    """second sends for each request at most, such as 0.05; a request that takes longer than 95% of the others is sent
    again, to another partition, and the first reply wins; 0: never. Interactive lane only"""

    def __post_init__(self) -> None:
        for setting in fields(self):
            least = 0 if setting.name in ("max_waiting", "close_timeout_s", "linger_ms", "hedge_budget") else 1
            checked_count(setting.name, getattr(self, setting.name), least)
        if self.hedge_budget > 1:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT, f"hedge_budget is {self.hedge_budget}; it is a share, from 0 to 1"
            )


def checked_count(name: str, value: _Number, least: int = 1) -> _Number:
    """The number, if it is one from ``least`` upwards. Raises InvalidRequest(invalid_argument)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{name} is {value!r:.40}; it is a number from {least} to {_MOST:,}", name=name
        )
    return value


DEFAULT_OPTIONS = ClientOptions()
