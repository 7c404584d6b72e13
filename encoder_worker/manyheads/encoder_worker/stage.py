"""The encoder stage: requests in, what each tenant's active head reads of the text out."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from manyheads.encoder_worker.model import EncoderModel, TextItem
from manyheads.encoder_worker.rows import Encoded
from manyheads.infra.registry.reader import RegistryReader
from manyheads.infra.registry.snapshot import RegistrySnapshot, Route
from manyheads.infra.stage.work import Forward, Job, Outcome
from manyheads.infra.telemetry import NO_METRICS, Metrics
from manyheads.topics.errors import ArtifactError, ErrorCode, ManyheadsError
from manyheads.topics.messages import Request, StageTiming
from manyheads.topics.metrics import BATCH_TOKENS
from manyheads.topics.names import RingName, embeddings_topic, parse_stage_topic
from manyheads.topics.partitions import tenant_key
from manyheads.topics.registry import HeadRecord
from manyheads.topics.tensor import Precision


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A job that can be computed: its place in the batch, where its result goes, and what is read of its text."""

    index: int
    job: Job
    route: Route
    item: TextItem


class EncoderStage:
    """The compute of a ring's encoder worker; a :class:`manyheads.infra.stage.work.Stage`."""

    def __init__(
        self,
        ring: RingName,
        model: EncoderModel,
        registry: RegistryReader,
        metrics: Metrics = NO_METRICS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """A stage that computes with ``model`` and asks ``registry`` who reads what; ``clock`` counts seconds."""
        self._ring = ring
        self._model = model
        self._registry = registry
        self._metrics = metrics
        self._clock = clock

    @property
    def name(self) -> str:
        """See :class:`manyheads.infra.stage.work.Stage`."""
        return "encoder"

    def process(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`manyheads.infra.stage.work.Stage`.

        A job's error is InvalidRequest for its text, WireError for its bytes, RoutingError for a tenant without an
        active head, ArtifactError(space_mismatch) for a head that this encoder cannot serve, or InternalError.
        """
        started = self._clock()
        snapshot = self._registry.snapshot
        admitted: list[_Admitted] = []
        for index, job in enumerate(jobs):
            try:
                admitted.append(self._admit(index, job, snapshot))
            except ManyheadsError as error:
                yield index, error
        counted: set[str] = set()
        for run in self._model.encode([each.item for each in admitted]):
            if run.tokens:
                self._metrics.observe(BATCH_TOKENS, {"ring": self._ring}, run.tokens)
            compute_ms = max(0.0, self._clock() - started) * 1000
            for position, outcome in run.outcomes:
                each = admitted[position]
                if isinstance(outcome, ManyheadsError):
                    yield each.index, outcome
                else:
                    timing = StageTiming(queue_ms=each.job.queue_ms, compute_ms=compute_ms)
                    tokens = 0 if each.item.text in counted else outcome.tokens
                    counted.add(each.item.text)
                    yield each.index, self._forward(each, outcome, timing, tokens)

    def assigned(self, topic: str, partitions: Sequence[int], partition_count: int) -> None:
        """Nothing to load: every partition is served by the one encoder."""

    def revoked(self, topic: str, partitions: Sequence[int]) -> None:
        """Nothing to unload."""

    def prepare(self, budget_s: float) -> bool:
        """Always ready: the encoder was loaded before the worker started."""
        return True

    def _admit(self, index: int, job: Job, snapshot: RegistrySnapshot) -> _Admitted:
        text = Request.from_bytes(job.record.value).text
        route = snapshot.route(self._ring, job.envelope.tenant)
        self._check_space(route.head)
        precision = Precision[route.placement.precision.name]
        return _Admitted(index, job, route, TextItem(text, route.head.view, precision))

    def _check_space(self, head: HeadRecord) -> None:
        record = self._model.record
        if head.space != record.space:
            raise ArtifactError(
                ErrorCode.SPACE_MISMATCH,
                f"head {head.version} of tenant {head.tenant} reads the space {head.space}, but ring {self._ring} runs "
                f"encoder {record.version} of the space {record.space}; activate a head that was trained in that",
                head=head.version,
                head_space=head.space,
                encoder=record.version,
                encoder_space=record.space,
            )

    def _forward(self, admitted: _Admitted, encoded: Encoded, timing: StageTiming, tokens: int) -> Outcome:
        placement, envelope = admitted.route.placement, admitted.job.envelope
        source = parse_stage_topic(admitted.job.record.topic)
        assert source is not None, "the worker reads requests topics only"
        try:
            value = self._model.message(encoded, timing).to_bytes()
        except ManyheadsError as error:
            return error
        return Forward(
            topic=embeddings_topic(self._ring, placement.cell, source.lane, transient=placement.transient),
            key=tenant_key(envelope.tenant, placement.spread, envelope.reply.correlation_id),
            value=value,
            tokens=tokens,
        )
