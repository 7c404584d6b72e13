"""The rules of a stage, without I/O and without a clock: what to publish for each record, and what may be committed.

A :class:`LaneCore` is told what happened and says what to do next. Its caller owns Kafka and time::

    taken = core.take(records, now_ms)           # publish taken.publications, compute taken.jobs
    core.settle(ticket, outcome)                 # publish what it returns
    core.acknowledged(publication, now)          # or core.failed(publication, failure, now): publish what it returns
    core.to_commit()                             # commit it, then core.commit_requested(offsets)

Times named ``now`` are seconds of a clock that never goes back.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from manyheads.infra.kafka.records import Offsets, Record, TopicPartition
from manyheads.infra.kafka.transport import PublishFailure
from manyheads.infra.stage.admission import admit, one_by_one, reachable_senders, read_envelope
from manyheads.infra.stage.halting import FailureWindow, HaltPolicy
from manyheads.infra.stage.offsets import PartitionProgress
from manyheads.infra.stage.publications import bare_dead_letter, dead_letter, failure_reply, result
from manyheads.infra.stage.tickets import Finished, Place, Publication, Purpose, Taken, Ticket
from manyheads.infra.stage.verdicts import Verdict, verdict_of
from manyheads.infra.stage.work import Answer, Forward, Outcome
from manyheads.topics.errors import SYSTEMIC_CODES, BrokerError, ErrorCode, ManyheadsError


class _Part(NamedTuple):
    """One of the tenants that a record is for."""

    at: TopicPartition
    offset: int
    nth: int


class LaneCore:
    """The records of one lane of one worker, from taken to committable."""

    def __init__(self, halting: HaltPolicy, dead_letter_patience_s: float) -> None:
        self._partitions: dict[TopicPartition, PartitionProgress] = {}
        self._halting = halting
        self._window = FailureWindow(halting)
        self._withheld: deque[tuple[float, Ticket]] = deque()
        self._dead_letter_patience_s = dead_letter_patience_s
        self._dead_letters_refused_since: float | None = None
        self._refused_dead_letters: list[Publication] = []
        self._verdicts: dict[_Part, Verdict] = {}
        self.finished: list[Finished] = []
        """records finished; the caller may empty it"""
        self.dead_letters: Counter[str] = Counter()
        """dead letters written, by code; the caller may empty it"""

    # Partitions

    @property
    def partitions(self) -> tuple[TopicPartition, ...]:
        """Those that are this worker's."""
        return tuple(self._partitions)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Start with these, from nothing."""
        for partition in partitions:
            self._partitions[partition] = PartitionProgress()

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These are another worker's now: nothing more is committed for them."""
        for partition in partitions:
            self._partitions.pop(partition, None)
        self._withheld = deque((since, ticket) for since, ticket in self._withheld if self._is_ours(ticket))
        self._verdicts = {part: each for part, each in self._verdicts.items() if part.at in self._partitions}

    def rewind(self) -> dict[TopicPartition, int]:
        """Forget all that is unfinished or uncommitted; each partition's first offset, should none be committed."""
        started = {
            partition: progress.start for partition, progress in self._partitions.items() if progress.start is not None
        }
        for partition in started:
            self._partitions[partition] = PartitionProgress()
        self._withheld.clear()
        return started

    # Records

    @property
    def unfinished(self) -> int:
        """Records taken and not finished."""
        return sum(progress.unfinished for progress in self._partitions.values())

    def unfinished_before(self, offsets: Offsets) -> int:
        """The same without those from ``offsets`` on, where a partition has one."""
        return sum(
            progress.unfinished_before(offsets[at]) if at in offsets else progress.unfinished
            for at, progress in self._partitions.items()
        )

    @property
    def withholds(self) -> bool:
        """Whether finished records are kept from being committed for a while; see :class:`HaltPolicy`."""
        return bool(self._withheld)

    def take(self, records: Sequence[Record], now_ms: int) -> Taken:
        """Records came in at ``now_ms``, milliseconds since the epoch. Those of forgotten partitions are passed over.

        Raises:
            InternalError: worker_halted.
        """
        taken = Taken()
        for record in records:
            at = TopicPartition(record.topic, record.partition)
            progress = self._partitions.get(at)
            if progress is None:
                continue
            if record.offset <= progress.last_taken:
                # The topic was made anew, or the consumer went back: what was taken before counts no more.
                progress = self._partitions[at] = PartitionProgress()
            progress.take(record.offset)
            place = Place(progress, record.offset)
            try:
                parts = tuple(one_by_one(record, read_envelope(record)))
            except ManyheadsError as error:
                place.open_tickets = 1
                self._begin(Ticket(record, place), error, now_ms, taken)
                continue
            place.open_tickets = len(parts)
            for nth, (part, envelope) in enumerate(parts):
                self._begin(Ticket(part, place, nth, envelope), None, now_ms, taken)
        return taken

    def settle(self, ticket: Ticket, outcome: Outcome) -> list[Publication]:
        """The stage is done with a job; what to publish.

        Raises:
            InternalError: worker_halted.
        """
        if isinstance(outcome, Forward | Answer):
            assert ticket.envelope is not None
            ticket.pending += 1
            ticket.forwarded = isinstance(outcome, Forward)
            return [Publication(ticket, Purpose.RESULT, result(ticket.envelope, outcome))]
        return self._fail(ticket, outcome)

    def acknowledged(self, publication: Publication, now: float) -> None:
        """The broker has it."""
        ticket = publication.ticket
        if not self._is_ours(ticket):
            return
        match publication.purpose:
            case Purpose.RESULT:
                self._window.add(None)
                self._release_ended_run()
            case Purpose.DEAD_LETTER:
                assert ticket.error is not None
                self.dead_letters[ticket.error.code] += 1
                self._dead_letters_refused_since = None
            case Purpose.FAILURE_REPLY:
                pass
        self._one_less(ticket, now)

    def failed(self, publication: Publication, failure: PublishFailure, now: float) -> list[Publication]:
        """It was not written; what to publish instead. A refused dead letter comes back from :meth:`retries`.

        Raises:
            InternalError: worker_halted.
            BrokerError: topics_missing, when dead letters have been refused for too long.
        """
        ticket = publication.ticket
        if not self._is_ours(ticket):
            return []
        if failure is PublishFailure.LOST:
            return [publication]
        if publication.purpose is Purpose.DEAD_LETTER:
            return self._dead_letter_failed(publication, failure, now)
        if publication.purpose is Purpose.FAILURE_REPLY and ticket.dead_lettered:
            self._one_less(ticket, now)
            return []
        ticket.pending -= 1
        verdict = verdict_of(publication, failure)
        return self._fail(ticket, verdict.error, verdict.reachable)

    def remember(self, publication: Publication, failure: PublishFailure, now: float) -> bool:
        """For a transaction, which a failed publication breaks: once its record is taken again, it fails outright.

        Returns whether the record is still ours, so that there is a transaction to give up.

        Raises:
            BrokerError: topics_missing, when dead letters have been refused for too long.
        """
        ticket = publication.ticket
        if not self._is_ours(ticket):
            return False
        part = _part(ticket)
        if failure is PublishFailure.LOST:
            pass
        elif publication.purpose is not Purpose.DEAD_LETTER:
            self._verdicts[part] = verdict_of(publication, failure)
        elif failure is PublishFailure.TOO_LARGE and not publication.bare:
            assert ticket.error is not None
            known = self._verdicts.get(part)
            reachable = known is None or known.reachable
            self._verdicts[part] = Verdict(ticket.error, reachable, bare=True)
        else:
            self._check_patience(publication, now)
        return True

    def retries(self) -> list[Publication]:
        """Dead letters to try again; to be asked for about once a second."""
        again, self._refused_dead_letters = self._refused_dead_letters, []
        return [publication for publication in again if self._is_ours(publication.ticket)]

    # Commits

    def to_commit(self) -> dict[TopicPartition, int]:
        """What may be committed and was not requested yet."""
        offsets = {partition: progress.to_commit() for partition, progress in self._partitions.items()}
        return {partition: offset for partition, offset in offsets.items() if offset is not None}

    def commit_requested(self, offsets: Offsets) -> None:
        """A commit of these is under way or done."""
        for partition, offset in offsets.items():
            if partition in self._partitions:
                self._partitions[partition].requested(offset)
        if self._verdicts:
            self._verdicts = {
                part: each for part, each in self._verdicts.items() if part.offset >= offsets.get(part.at, 0)
            }

    def commit_refused(self, partitions: Iterable[TopicPartition]) -> None:
        """Their last commit failed."""
        for partition in partitions:
            if partition in self._partitions:
                self._partitions[partition].refused()

    def release(self, now: float) -> None:
        """Let what was withheld for long enough be committed."""
        while self._withheld and now - self._withheld[0][0] >= self._halting.grace_s:
            self._withheld.popleft()[1].place.one_less()

    def release_all(self) -> None:
        """Let all that was withheld be committed: this worker ends in good order."""
        while self._withheld:
            self._withheld.popleft()[1].place.one_less()

    # Within

    def _is_ours(self, ticket: Ticket) -> bool:
        return self._partitions.get(_part(ticket).at) is ticket.place.progress

    def _begin(self, ticket: Ticket, error: ManyheadsError | None, now_ms: int, taken: Taken) -> None:
        """What is to be done for a new ticket, added to ``taken``; ``error`` if its record has no usable headers."""
        verdict = self._verdicts.get(_part(ticket))
        if verdict is not None:
            taken.publications += self._fail(ticket, verdict.error, verdict.reachable, verdict.bare)
            return
        try:
            if error is not None:
                raise error
            assert ticket.envelope is not None
            taken.jobs.append(admit(ticket.record, ticket.envelope, now_ms))
        except ManyheadsError as reason:
            taken.publications += self._fail(ticket, reason)
            return
        taken.tickets.append(ticket)

    def _fail(
        self, ticket: Ticket, error: ManyheadsError, reachable: bool = True, bare: bool = False
    ) -> list[Publication]:
        ticket.error = error
        publications: list[Publication] = []
        if error.code is not ErrorCode.DEADLINE_EXCEEDED:  # of an expired record there is nothing to learn
            ticket.dead_lettered = True
            letter = (bare_dead_letter if bare else dead_letter)(ticket.record, error)
            publications.append(Publication(ticket, Purpose.DEAD_LETTER, letter, bare))
        for sender in reachable_senders(ticket.record) if reachable else ():
            reply = failure_reply(sender, error, ticket.envelope)
            publications.append(Publication(ticket, Purpose.FAILURE_REPLY, reply))
        ticket.pending += len(publications)
        self._window.add(error.code)
        if error.code in SYSTEMIC_CODES:
            ticket.run = self._window.run
        self._release_ended_run()
        return publications

    def _dead_letter_failed(self, publication: Publication, failure: PublishFailure, now: float) -> list[Publication]:
        ticket = publication.ticket
        if failure is PublishFailure.TOO_LARGE and not publication.bare:
            assert ticket.error is not None
            letter = bare_dead_letter(ticket.record, ticket.error)
            return [Publication(ticket, Purpose.DEAD_LETTER, letter, bare=True)]
        self._check_patience(publication, now)
        self._refused_dead_letters.append(publication)
        return []

    def _one_less(self, ticket: Ticket, now: float) -> None:
        ticket.pending -= 1
        if ticket.pending:
            return
        self.finished.append(ticket.finished(now))
        if ticket.run == self._window.run:
            self._withheld.append((now, ticket))
        else:
            ticket.place.one_less()

    def _release_ended_run(self) -> None:
        if self._withheld and self._withheld[0][1].run != self._window.run:
            self.release_all()

    def _check_patience(self, publication: Publication, now: float) -> None:
        if self._dead_letters_refused_since is None:
            self._dead_letters_refused_since = now
        waited = now - self._dead_letters_refused_since
        if waited > self._dead_letter_patience_s:
            topic = publication.outgoing.topic
            raise BrokerError(
                ErrorCode.TOPICS_MISSING,
                f"{topic} has taken no dead letter for {waited:.0f} s; create it with the ring's other topics and let "
                "this worker write to it. The record stays where it is, uncommitted",
                topic=topic,
                seconds=round(waited, 1),
            )


def _part(ticket: Ticket) -> _Part:
    record = ticket.record
    return _Part(TopicPartition(record.topic, record.partition), record.offset, ticket.nth)
