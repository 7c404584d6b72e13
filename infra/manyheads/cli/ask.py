"""``ask``: one question to one tenant's head."""

import asyncio
import json
from dataclasses import dataclass

from rich.text import Text

from manyheads.cli.settings import kafka_settings
from manyheads.cli.steps import console
from manyheads.producers import Answer, Client
from manyheads.topics.messages import StageTiming
from manyheads.topics.names import ring as ring_name
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.text import checked_text


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    tenant: str
    text: str
    ring: str
    timeout_s: float
    """for connecting, and again for the answer"""


def run_ask(question: Question, bootstrap_servers: str | None, *, as_json: bool) -> None:
    """Ask and show the answer. Raises ManyheadsError."""
    settings = kafka_settings(bootstrap_servers)
    # Checked before anything connects, so that a typing error is told at once.
    tenant, ring, text = tenant_name(question.tenant), ring_name(question.ring), checked_text(question.text)

    async def ask() -> Answer:
        async with Client(settings, ring=ring, timeout=question.timeout_s) as client:
            return await client.predict(tenant, text)

    answer = asyncio.run(ask())
    if as_json:
        print(json.dumps(as_fields(answer), ensure_ascii=False))
    else:
        _show(answer)


def as_fields(answer: Answer) -> dict[str, object]:
    """The answer as JSON has it."""
    return {
        "tenant": answer.tenant,
        "intents": [{"name": intent.name, "confidence": intent.confidence} for intent in answer.intents],
        "entities": [
            {
                "label": entity.label,
                "text": entity.text,
                "start": entity.start,
                "end": entity.end,
                "confidence": entity.confidence,
            }
            for entity in answer.entities
        ],
        "versions": answer.versions.model_dump(),
        "timings": {"encoder": _timing(answer.timings.encoder), "head": _timing(answer.timings.head)},
        "truncation": None if answer.truncation is None else answer.truncation.model_dump(),
        "latency_ms": round(answer.latency_ms, 3),
    }


def _timing(timing: StageTiming) -> dict[str, float]:
    return {"queue_ms": timing.queue_ms, "compute_ms": timing.compute_ms}


def _show(answer: Answer) -> None:
    out = console()
    best, *others = answer.intents
    out.print(Text.assemble((best.name, "bold"), f"  {best.confidence:.2f}"))
    for entity in answer.entities:
        out.print(Text.assemble(f"  {entity.label}: ", (entity.text, "bold"), f"  {entity.confidence:.2f}"))
    if others:
        out.print(Text("else " + ", ".join(f"{intent.name} {intent.confidence:.2f}" for intent in others), style="dim"))
    if answer.truncation is not None:
        out.print(f"only {answer.truncation.kept} of {answer.truncation.tokens} tokens were read", style="yellow")
    timings = answer.timings
    out.print(
        Text(
            f"{answer.latency_ms:.1f} ms, of which encoder {timings.encoder.compute_ms:.1f} and head "
            f"{timings.head.compute_ms:.1f} ms of compute",
            style="dim",
        )
    )
    out.print(Text(f"head {answer.versions.head}, encoder {answer.versions.encoder}", style="dim"))
