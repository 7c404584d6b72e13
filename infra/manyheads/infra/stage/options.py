"""What a worker is told: its inputs, its bounds, its clock. All frozen."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from manyheads.infra.stage.halting import HaltPolicy
from manyheads.topics.names import Lane, RingName


@dataclass(frozen=True, slots=True)
class LaneInput:
    """One input topic of a worker and the consumer group that it is read with."""

    lane: Lane
    ring: RingName
    topic: str
    group: str


@dataclass(frozen=True, slots=True)
class StageOptions:
    """The bounds of a worker. Times are seconds."""

    instance: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """names this worker among its peers. Keep it the same over restarts (a pod's name): the next start then clears away
    the open transaction of a worker that was killed, instead of waiting for it to time out"""
    max_take: int = 64
    """records of one compute"""
    max_in_flight: int = 2048
    """records of a lane that are taken and not finished"""
    batch_take: int = 8
    """records of one compute of the batch lane, at most, while there is interactive traffic"""
    batch_compute_s: float = 0.004
    """how long such a compute should take, by what a record cost of late: interactive records wait for it"""
    batch_share: float = 0.4
    """of the worker's time, for computes of the batch lane while there is interactive traffic; the rest of it is left
    to whoever else runs on the machine, on whom live requests wait too"""
    quiet_batch_take: int = 32
    """records of one compute of the batch lane without interactive traffic: larger computes cost less a record"""
    quiet_after_s: float = 5.0
    """without an interactive record for so long, there is none"""
    prefetch_bytes: int = 8 * 1024 * 1024
    """records that each lane holds before it takes them, about"""
    commit_interval_s: float = 0.25
    transaction_records: int = 512
    transaction_interval_s: float = 0.5
    live_transaction_interval_s: float = 2.0
    """the same while there is interactive traffic: the brokers, whom live requests wait for, have work with each end"""
    idle_transaction_interval_s: float = 0.1
    """the same once no more records come: whoever reads the results waits for its end"""
    idle_wait_s: float = 0.05
    """how long a step waits for a record when there was none before; bounds how late the batch lane is seen"""
    starvation_s: float = 1.0
    """a lane that gets no turn takes one record this often, and so serves its rebalances"""
    prepare_interval_s: float = 0.2
    prepare_budget_s: float = 0.05
    start_timeout_s: float = 60.0
    """how long to wait for the broker at the start"""
    spare_after_s: float = 10.0
    """a worker that has no partition after this long is one more than there are partitions"""
    revoke_timeout_s: float = 10.0
    """how long partitions are kept from their next owner so that what is in flight can be committed"""
    drain_timeout_s: float = 15.0
    """how long a stop waits for results to be acknowledged"""
    leave_timeout_s: float = 3.0
    """how long the last commit, and the farewell to the group, may each take: more is in vain, the broker is away"""
    dead_letter_patience_s: float = 30.0
    """how long dead letters may be refused until the worker stops"""
    halting: HaltPolicy = field(default_factory=HaltPolicy)

    def __post_init__(self) -> None:
        if not 0 < self.batch_share <= 1:
            raise ValueError(f"batch_share {self.batch_share} is no share")
        if self.max_in_flight < self.halting.window:
            # Withheld failures are unfinished: the window could not fill, and the worker would neither halt nor move.
            raise ValueError(f"max_in_flight {self.max_in_flight} is below the halting window {self.halting.window}")
        if min(self.max_take, self.batch_take, self.quiet_batch_take, self.transaction_records) < 1:
            raise ValueError("max_take, batch_take, quiet_batch_take and transaction_records are at least 1")


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a worker's time comes from."""

    wall_ms: Callable[[], int]
    """milliseconds since the epoch: what deadlines are measured by"""
    monotonic: Callable[[], float]
    """seconds that never go back: what intervals are measured by"""


SYSTEM_CLOCK = Clock(lambda: time.time_ns() // 1_000_000, time.monotonic)
