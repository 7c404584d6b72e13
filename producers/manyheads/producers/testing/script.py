"""What the pipeline in memory shall say, and the reply that this is on the wire."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from manyheads.topics.errors import ErrorCode, ManyheadsError, error_for
from manyheads.topics.headers import Envelope
from manyheads.topics.messages import (
    EntitySpan,
    Failure,
    Intent,
    Prediction,
    Reply,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.names import Lane, RingName, TenantName

_NO_TIME = StageTiming(queue_ms=0.0, compute_ms=0.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One tenant's request, as the pipeline got it."""

    tenant: TenantName
    text: str
    ring: RingName
    lane: Lane
    envelope: Envelope
    """deadline, trace and reply address, as they travelled"""


@dataclass(frozen=True, slots=True)
class Says:
    """A prediction."""

    intent: str
    confidence: float = 1.0
    """0 to 1"""
    entities: Sequence[tuple[str, str]] = ()
    """labels and the parts of the text that they name, in the order of the text"""
    delay: float = 0.0
    """seconds until it is said"""


@dataclass(frozen=True, slots=True)
class Fails:
    """An error, raised by ``predict`` as the type that belongs to its code."""

    code: ErrorCode
    message: str = "scripted"
    delay: float = 0.0
    """seconds until it is said"""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing: the caller's deadline decides, or a later ``FakeNlu.reply``."""


SILENCE = Silence()
Script = Says | Fails | Silence


def scripts_of(said: object) -> list[Script]:
    """What a test's script said, one by one; what is no script says so to the caller."""
    scripts = said if isinstance(said, Iterable) and not isinstance(said, str) else [said]
    return [each if isinstance(each, Script) else _no_script(each) for each in scripts]


def reply_to(asked: Asked, script: Says | Fails) -> Reply:
    """What a worker would send.

    Raises:
        ValueError: the script does not fit the text or the wire; the message says where.
    """
    if isinstance(script, Fails):
        return Reply(failure=Failure.of(error_for(script.code, script.message)))
    return Reply(
        prediction=Prediction(
            intents=(Intent(name=script.intent, confidence=script.confidence),),
            entities=tuple(_spans(asked.text, script.entities)),
            versions=Versions(head="fake", encoder="fake", space="fake"),
            timings=Timings(encoder=_NO_TIME, head=_NO_TIME),
        )
    )


def unscripted(asked: Asked) -> ManyheadsError:
    """What the pipeline answers where nobody said what it shall answer."""
    return error_for(
        ErrorCode.UNKNOWN_TENANT,
        f"FakeNlu has no script for tenant {asked.tenant!r} and this text: give it one with on({asked.tenant!r}, ...)",
        {"tenant": asked.tenant},
    )


def _no_script(said: object) -> Fails:
    return Fails(
        ErrorCode.INTERNAL, f"the script said {said!r:.100}: let it say Says, Fails, SILENCE or several of them"
    )


def _spans(text: str, entities: Sequence[tuple[str, str]]) -> list[EntitySpan]:
    spans: list[EntitySpan] = []
    behind = 0
    for label, part in entities:
        start = text.find(part, behind)
        if start < 0 or not part:
            raise ValueError(f"the entity {label}={part!r} is not in the text behind character {behind}: {text!r:.80}")
        behind = start + len(part)
        spans.append(EntitySpan(label=label, start=start, end=behind, confidence=1.0))
    return spans
