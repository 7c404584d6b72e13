"""Whole pipelines for tests: rings with real encoders and heads, served by worker processes, all of them traced."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from manyheads.cli.demo.utterances import EntityAnnotation, Examples, LabelledText, TenantExamples, load_tenants
from manyheads.cli.ring_setup import RingSetup
from manyheads.encoder_worker.bert import BertShape
from manyheads.encoder_worker.build import EncoderBuild, build_minilm, build_random
from manyheads.infra.local import LocalStack, RunningKafka, encoder_worker, head_worker
from manyheads.topics.names import TenantName, cell, ring, tenant
from manyheads.topics.registry import HeadRecord
from tests.support.otlp import Collector, collecting

SMALL_SHAPE = BertShape(layers=6, width=64, heads=4, intermediate=128, vocabulary=30522)


def minilm(folder: Path) -> EncoderBuild:
    """The real encoder."""
    return build_minilm(folder)


def small_random(folder: Path) -> EncoderBuild:
    """An encoder of another embedding space, cheap to run."""
    return build_random(folder, SMALL_SHAPE)


def with_entities() -> TenantExamples:
    """A demo tenant whose head finds entities."""
    return next(tenant for tenant in load_tenants() if tenant.entity_labels)


def intents_only(tenant: TenantExamples, name: TenantName) -> TenantExamples:
    """The same utterances without their entities, for another tenant."""
    return TenantExamples(
        tenant=name,
        business=tenant.business,
        train=tuple(LabelledText(each.text, each.intent) for each in tenant.train),
        held_out=tuple(LabelledText(each.text, each.intent) for each in tenant.held_out),
    )


def renamed(examples: Examples, suffix: str) -> Examples:
    """The same utterances with ``suffix`` on every intent and label, so that each answer tells which head made it."""

    def rename(each: LabelledText) -> LabelledText:
        entities = tuple(EntityAnnotation(found.label + suffix, found.start, found.end) for found in each.entities)
        return LabelledText(each.text, each.intent + suffix, entities)

    return Examples(train=tuple(map(rename, examples.train)), held_out=tuple(map(rename, examples.held_out)))


EN, FR = ring("en"), ring("fr")
C0, C1 = cell("c0"), cell("c1")
SHOP = with_entities()
TALKATIVE = {"log_level": "DEBUG", "metrics_port": "0"}
PLAIN = intents_only(SHOP, tenant("plain-shop"))


@dataclass(frozen=True)
class Pipelines:
    """Ring ``en`` with MiniLM and two cells, ring ``fr`` with a random encoder and one."""

    stack: LocalStack
    en: RingSetup
    fr: RingSetup
    heads: dict[str, HeadRecord]
    """``en``: SHOP's; ``plain``: PLAIN's, in the other cell; ``fr``: SHOP's in the other ring"""
    collector: Collector
    """has the workers' spans"""


@contextmanager
def running_pipelines(kafka: RunningKafka) -> Iterator[Pipelines]:
    """Both rings, ready, on a Kafka without topics."""
    with ExitStack() as resources:
        collector = resources.enter_context(collecting())
        with pytest.MonkeyPatch.context() as environment:  # that the stack's workers are to have
            environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
            environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
            stack = resources.enter_context(LocalStack(kafka=kafka))
        en = resources.enter_context(RingSetup(stack, EN, (C0, C1)))
        fr = resources.enter_context(RingSetup(stack, FR, (C0,)))
        en.install(minilm)
        fr.install(small_random)
        heads = {
            "en": en.teach(SHOP.tenant, SHOP, C0),
            "plain": en.teach(PLAIN.tenant, PLAIN, C1),
            "fr": fr.teach(SHOP.tenant, SHOP),
        }
        stack.workers.start(
            encoder_worker(EN, **TALKATIVE),
            head_worker(EN, C0, **TALKATIVE),
            head_worker(EN, C1, **TALKATIVE),
            encoder_worker(FR, **TALKATIVE),
            head_worker(FR, C0, **TALKATIVE),
        )
        yield Pipelines(stack, en, fr, heads, collector)
        stack.workers.check()
