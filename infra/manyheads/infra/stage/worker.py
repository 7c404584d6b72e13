"""The worker: one stage, its lanes, one thread; interactive work first."""

import logging
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

from manyheads.infra.kafka.transport import Transport
from manyheads.infra.settings.kafka import KafkaSettings
from manyheads.infra.stage.batch import BatchLane
from manyheads.infra.stage.interactive import InteractiveLane
from manyheads.infra.stage.lane import StageLane, Surroundings
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import SYSTEM_CLOCK, Clock, LaneInput, StageOptions
from manyheads.infra.stage.work import Stage
from manyheads.infra.telemetry import event
from manyheads.topics.errors import BrokerError, ErrorCode, InternalError
from manyheads.topics.names import Lane, dead_letter_topic
from manyheads.topics.telemetry import WorkerState

_log = logging.getLogger(__name__)

_PREPARING_WAIT_S = 0.001
_SHARED_WAIT_S = 0.01
_TRANSACTION_WAIT_S = 0.002
_ACKNOWLEDGEMENT_WAIT_S = 0.002
_ORDER = {lane: place for place, lane in enumerate(Lane)}


class StageWorker:
    """Runs a stage over its input topics until it is stopped.

    Args:
        kafka: how to reach Kafka; or a transport, such as the in-memory one, for tests.
        stage: the compute. It is called from the thread of :meth:`run` alone.
        inputs: one or more topics, each with its lane. Interactive ones go first.
        options: the bounds.
        observer: told what happens: counts and times, each turn, and as the part ``worker`` of health whether all
            partitions are consumed from.
        clock: the time, for tests.

    Call :meth:`run`, or, to drive it yourself, :meth:`open`, then :meth:`step` as often as you like, then
    :meth:`close`.
    """

    def __init__(
        self,
        kafka: KafkaSettings | Transport,
        stage: Stage,
        inputs: Sequence[LaneInput],
        options: StageOptions | None = None,
        *,
        observer: StageObserver | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not inputs:
            raise ValueError("a worker has at least one input")
        self._options = options or StageOptions()
        self._stage = stage
        self._clock = clock
        self._observer = observer or StageObserver()
        self._health = self._observer.health
        self._transport = _transport(kafka)
        self._inputs = sorted(inputs, key=lambda each: _ORDER[each.lane])
        self._lanes: list[StageLane] = []
        self._stopping = threading.Event()
        self._last_prepare = float("-inf")
        self._last_interactive = clock.monotonic()
        self._batch_rests_until = float("-inf")
        self._idle = False
        self._steps = 0
        self._took: dict[str, int] = {}
        """by its topic, the step in which an input took records last"""
        self._ready = False
        self._waits_for: list[str] | None = None
        """as health was last told"""

    def stop(self) -> None:
        """Make :meth:`run` finish what is in flight and return. Callable from any thread and from signal handlers."""
        self._stopping.set()

    def run(self) -> None:
        """Work until :meth:`stop`, then drain: finish what was taken, commit it, leave the groups.

        Raises:
            BrokerError: topics_missing or broker_unreachable.
            InternalError: worker_halted, because nearly every record failed; their offsets are not committed.
        """
        self.open()
        try:
            while not self._stopping.is_set():
                self.step()
        except BaseException as error:
            self.abandon(error)
            raise
        self.close()

    def open(self) -> None:
        """Check the topics and join the groups.

        Raises:
            BrokerError: topics_missing, or broker_unreachable when there is no broker for ``start_timeout_s``.
        """
        self._check_topics()
        around = Surroundings(self._transport, self._stage, self._options, self._observer, self._clock)
        try:
            for each in self._inputs:
                kind = InteractiveLane if each.lane is Lane.INTERACTIVE else BatchLane
                self._lanes.append(kind(each, around))
        except BaseException as error:
            self.abandon(error)
            raise

    def step(self) -> int:
        """One round: prepare, commit, and take what is queued; how many records were taken.

        An input takes only when those before it had nothing, and one of the batch lane little at a time. Inputs of the
        same lane go in turns: the one that took records goes behind the others.
        """
        self._prepare()
        self._steps += 1
        taken = 0
        for lane in sorted(self._lanes, key=self._precedence):
            try:
                lane.tend()
                found = self._turn(lane, taken)
                if found:
                    self._took[lane.input.topic] = self._steps
                    if lane.input.lane is Lane.INTERACTIVE:
                        self._last_interactive = self._clock.monotonic()
                taken += found
            except InternalError as error:
                if lane.input.lane is Lane.INTERACTIVE or len(self._lanes) == 1:
                    raise
                self._retire(lane, error)
        self._idle = taken == 0
        self._tell_health()
        return taken

    def close(self) -> None:
        """Drain: finish what was taken, commit it, leave the groups."""
        event(_log, "worker_draining", stage=self._stage.name)
        self._health.set("worker", False, "it is draining")
        self._observer.state = WorkerState.DRAINING
        deadline = self._clock.monotonic() + self._options.drain_timeout_s
        with ExitStack() as each:  # the last lane drains even if the first cannot
            for lane in reversed(self._lanes):
                each.callback(self._drain, lane, deadline)
        self._lanes.clear()
        self._health.set("worker", False, "it has stopped")
        event(_log, "worker_stopped", stage=self._stage.name)

    def _drain(self, lane: StageLane, deadline: float) -> None:
        lane.drain(max(0.0, deadline - self._clock.monotonic()))

    def _precedence(self, lane: StageLane) -> tuple[int, int]:
        return _ORDER[lane.input.lane], self._took.get(lane.input.topic, 0)

    def _turn(self, lane: StageLane, taken: int) -> int:
        if taken:
            return lane.turn(0, 0.0)
        wait_s = 0.0
        if self._idle and lane is self._lanes[0]:
            self._hear_acknowledgements()
            wait_s = self._idle_wait_s()
        if lane.input.lane is Lane.INTERACTIVE:
            return lane.turn(self._options.max_take, wait_s)
        return self._batch_turn(lane, wait_s)

    def _batch_turn(self, lane: StageLane, wait_s: float) -> int:
        began = self._clock.monotonic()
        lane.beside_live = began - self._last_interactive < self._options.quiet_after_s
        if not lane.beside_live:
            return lane.turn(self._options.quiet_batch_take, wait_s)
        if began < self._batch_rests_until:
            return lane.turn(0, wait_s)
        bite = self._options.batch_take
        if lane.record_s:
            bite = min(bite, int(self._options.batch_compute_s / lane.record_s))
        taken = lane.turn(max(1, bite), wait_s)
        if taken:
            now = self._clock.monotonic()
            self._batch_rests_until = now + (now - began) * (1 / self._options.batch_share - 1)
        return taken

    def _hear_acknowledgements(self) -> None:
        # How long a request took is known when its acknowledgement is learnt, which a wait for records puts off. To ask
        # again and again costs more than to wait for what is about to come.
        for lane in self._lanes:
            if lane.awaits_acknowledgement:
                lane.hear(_ACKNOWLEDGEMENT_WAIT_S)

    def _idle_wait_s(self) -> float:
        longest = self._options.idle_wait_s
        # While partitions wait to be prepared, the time is the stage's.
        if any(lane.preparing for lane in self._lanes):
            longest = min(_PREPARING_WAIT_S, longest)
        # Whoever waits for one interactive input does not see a record of another.
        # And whoever waits for a record does not hear an acknowledgement.
        several = sum(lane.input.lane is Lane.INTERACTIVE for lane in self._lanes) > 1
        if several or any(lane.awaits_acknowledgement for lane in self._lanes):
            longest = min(_SHARED_WAIT_S, longest)
        # The batch lane can go on as soon as Kafka has ended its transaction.
        if any(lane.awaits_transaction for lane in self._lanes):
            longest = min(_TRANSACTION_WAIT_S, longest)
        rests = self._batch_rests_until - self._clock.monotonic()
        return min(rests, longest) if rests > 0 else longest

    def _prepare(self) -> None:
        now = self._clock.monotonic()
        waiting = any(lane.preparing for lane in self._lanes)
        if not waiting and now - self._last_prepare < self._options.prepare_interval_s:
            return
        self._last_prepare = now
        if not self._stage.prepare(self._options.prepare_budget_s):
            return
        for lane in self._lanes:
            lane.prepared()
        if not self._ready and all(lane.waits_for is None for lane in self._lanes):
            self._ready = True
            partitions = {lane.input.topic: len(lane.partitions) for lane in self._lanes}
            event(_log, "worker_ready", stage=self._stage.name, partitions=partitions)

    def _tell_health(self) -> None:
        self._health.beat()
        waits_for = [reason for lane in self._lanes if (reason := lane.waits_for) is not None]
        if waits_for != self._waits_for:
            self._waits_for = waits_for
            self._health.set("worker", not waits_for, "; ".join(waits_for))
            if not waits_for:
                self._observer.state = WorkerState.READY
            elif self._observer.state is WorkerState.READY:
                self._observer.state = WorkerState.PREPARING

    def _retire(self, lane: StageLane, error: InternalError) -> None:
        # A batch job full of garbage must not take live traffic down with it.
        event(_log, "lane_halted", level=logging.ERROR, stage=self._stage.name, topic=lane.input.topic, error=error)
        self._health.set(lane.input.topic, True, f"it is not read any more: {error.message}")
        self._lanes.remove(lane)
        lane.halt(error)

    def abandon(self, error: BaseException) -> None:
        event(_log, "worker_failed", level=logging.ERROR, stage=self._stage.name, error=error)
        self._health.set("worker", False, f"it has failed: {error}")
        self._observer.state = WorkerState.DRAINING
        for lane in self._lanes:
            try:
                lane.close()
            except Exception:  # the error that brought us here is the one to raise
                event(_log, "lane_close_failed", level=logging.ERROR, exc_info=True, topic=lane.input.topic)
        self._lanes.clear()

    def _check_topics(self) -> None:
        inputs = [each.topic for each in self._inputs]
        needed = [*inputs, *map(dead_letter_topic, inputs)]
        missing = self._transport.missing_topics(needed, self._options.start_timeout_s)
        if missing:
            raise BrokerError(
                ErrorCode.TOPICS_MISSING,
                f"missing topics: {', '.join(missing)}; create the ring's topics first (manyheads topics --help)",
                topics=", ".join(missing),
            )


def run_until_signalled(worker: StageWorker) -> None:
    """Run the worker until SIGTERM or SIGINT, then drain it. A second signal ends the process at once.

    For a program's main thread. Raises what :meth:`StageWorker.run` raises.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop(number: int, _frame: FrameType | None) -> None:
        event(_log, "signal_received", signal=signal.Signals(number).name)
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        worker.stop()

    wakeup = signal.set_wakeup_fd(-1)  # whoever watches it ends a process that starts
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        worker.run()
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)


def _transport(kafka: KafkaSettings | Transport) -> Transport:
    if isinstance(kafka, KafkaSettings):
        from manyheads.infra.kafka.confluent import ConfluentTransport  # noqa: PLC0415 - not where Kafka is faked

        return ConfluentTransport(kafka)
    return kafka
