"""What the SDK gives back: an answer, and one result of many."""

from collections.abc import Iterator
from dataclasses import dataclass

from manyheads.topics.errors import ErrorCode, ManyheadsError, WireError
from manyheads.topics.messages import EntitySpan, Intent, Prediction, Timings, Truncation, Versions


@dataclass(frozen=True, slots=True)
class Entity:
    """A part of the text that names something: characters ``start`` to ``end``, the end exclusive."""

    label: str
    start: int
    end: int
    text: str
    """``text[start:end]`` of the request; empty in the answer to a ticket that was read without the text"""
    confidence: float
    """0 to 1"""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A head's answer to one text."""

    tenant: str
    intents: tuple[Intent, ...]
    """the most likely first; never empty"""
    entities: tuple[Entity, ...]
    """in the order of the text, never overlapping"""
    versions: Versions
    """the head, the encoder and the embedding space that made this answer"""
    timings: Timings
    """waiting and compute of each stage, in milliseconds"""
    truncation: Truncation | None
    """set when the text was longer than the encoder reads"""
    latency_ms: float
    """from the call of ``predict`` to the reply, as this client saw it"""

    @property
    def intent(self) -> Intent:
        """The most likely intent."""
        return self.intents[0]

    @property
    def truncated(self) -> bool:
        """Whether the end of the text was not read; :attr:`truncation` has the numbers."""
        return self.truncation is not None

    def __repr__(self) -> str:
        return f"<Answer {', '.join(self._parts())}>"

    def _parts(self) -> Iterator[str]:
        yield f"{self.intent.name} {self.intent.confidence:.2f}"
        for entity in self.entities:
            yield f"{entity.label}={entity.text!r}"
        if self.truncation is not None:
            yield f"read {self.truncation.kept} of {self.truncation.tokens} tokens"
        yield f"{self.latency_ms:.1f} ms"
        yield f"head {self.versions.head}"
        yield f"encoder {self.versions.encoder}"


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """One request of ``predict_many``; a plain ``(tenant, text)`` does where nothing else is set."""

    tenant: str
    text: str
    ring: str | None = None
    """None: the client's ring"""
    timeout: float | None = None
    """seconds from the moment it is taken from the iterable; None: the timeout of ``predict_many``"""
    traceparent: str | None = None
    """W3C trace context; None: that of the active OpenTelemetry span, if there is one"""


@dataclass(frozen=True, slots=True)
class Result:
    """One outcome of ``predict_many``: an answer or an error, never both."""

    index: int
    """position of the request in the iterable, from 0"""
    request: PredictRequest
    answer: Answer | None = None
    error: ManyheadsError | None = None

    def unwrap(self) -> Answer:
        """The answer. Raises the error if there is none."""
        if self.answer is not None:
            return self.answer
        assert self.error is not None  # a result has one of the two
        raise self.error


def answer_to(tenant: str, text: str | None, prediction: Prediction, latency_ms: float) -> Answer:
    """The answer that ``prediction`` is to ``text``; None: nobody knows the text any more.

    Raises:
        WireError: malformed_message, if it is of another text.
    """
    return Answer(
        tenant=tenant,
        intents=prediction.intents,
        entities=tuple(_entity(text, span) for span in prediction.entities),
        versions=prediction.versions,
        timings=prediction.timings,
        truncation=prediction.truncation,
        latency_ms=latency_ms,
    )


def _entity(text: str | None, span: EntitySpan) -> Entity:
    if text is None:
        return Entity(span.label, span.start, span.end, "", span.confidence)
    if span.end > len(text):
        raise WireError(
            ErrorCode.MALFORMED_MESSAGE,
            f"the reply has an entity at {span.start} to {span.end} of a text of {len(text)} characters; "
            "does another program answer on the reply topic?",
            end=span.end,
            characters=len(text),
        )
    return Entity(span.label, span.start, span.end, text[span.start : span.end], span.confidence)
