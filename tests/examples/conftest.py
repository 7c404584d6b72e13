"""One running pipeline for all examples: ring ``en``, and a tenant of the demo."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from manyheads.cli.ring_setup import RingSetup
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.topics.names import TenantName
from tests.broker.pipelines import C0, EN, minilm, with_entities
from tests.support.kafka import NewKafka


@dataclass(frozen=True)
class Pipeline:
    """What an example talks to."""

    bootstrap_servers: str
    tenant: TenantName
    head: str
    """its version"""
    text: str
    """one that the tenant's head has learned"""
    intent: str
    entities: tuple[tuple[str, str], ...]
    """labels and words, as they were annotated"""


@pytest.fixture(scope="package")
def pipeline(new_kafka: NewKafka) -> Iterator[Pipeline]:
    """The pipeline, ready; it must still run in the end."""
    tenant = with_entities()
    with ExitStack() as resources:
        kafka = resources.enter_context(new_kafka())
        stack = resources.enter_context(LocalStack(kafka=kafka))
        ring = resources.enter_context(RingSetup(stack, EN, (C0,)))
        ring.install(minilm)
        head = ring.teach(tenant.tenant, tenant)
        stack.workers.start(encoder_worker(EN), head_worker(EN, C0))
        known = next(each for each in tenant.train if each.entities)
        yield Pipeline(
            bootstrap_servers=kafka.bootstrap_servers,
            tenant=tenant.tenant,
            head=head.version,
            text=known.text,
            intent=known.intent,
            entities=tuple((each.label, known.text[each.start : each.end]) for each in known.entities),
        )
        stack.workers.check()
