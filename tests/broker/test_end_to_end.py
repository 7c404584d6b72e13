"""The whole pipeline: the SDK, a real Kafka, worker processes with real encoders and heads, two rings side by side."""

import asyncio
import json

import pytest

from manyheads.cli.ring_setup import RingSetup
from manyheads.head_worker import Head
from manyheads.infra.local import LocalStack
from manyheads.producers import Answer, Client
from manyheads.topics.errors import ErrorCode, ManyheadsError
from manyheads.topics.names import tenant
from manyheads.topics.registry import HeadRecord, PlacementRecord
from tests.broker.pipelines import C0, PLAIN, SHOP, Pipelines, renamed


async def asked(client: Client, who: str, *texts: str, in_ring: str = "en") -> list[Answer]:
    return list(await asyncio.gather(*(client.predict(who, text, ring=in_ring, timeout=30) for text in texts)))


async def error_of(client: Client, who: str, text: str = "hello", in_ring: str = "en") -> ManyheadsError:
    with pytest.raises(ManyheadsError) as caught:
        await client.predict(who, text, ring=in_ring, timeout=30)
    return caught.value


async def test_answers_are_those_of_the_same_head_in_process(pipelines: Pipelines) -> None:
    """Whatever batches they travelled in, to the last bit of every confidence."""
    texts = [example.text for example in SHOP.held_out]
    head = Head.load(pipelines.stack.store.fetch(pipelines.heads["en"].artifact))
    embeddings = pipelines.en.teacher.embed(SHOP.held_out, pipelines.heads["en"].view)
    expected = [head.answer(embedding) for embedding in embeddings]
    async with Client(pipelines.stack.settings) as client:
        answers = await asked(client, SHOP.tenant, *texts)
    for text, answer, output in zip(texts, answers, expected, strict=True):
        assert answer.intents == output.intents
        assert [(each.label, each.start, each.end, each.confidence) for each in answer.entities] == [
            (each.label, each.start, each.end, each.confidence) for each in output.entities
        ]
        assert all(text[each.start : each.end] == each.text for each in answer.entities)
    right = sum(answer.intent.name == example.intent for answer, example in zip(answers, SHOP.held_out, strict=True))
    assert right / len(texts) > 0.8


async def test_two_rings_and_two_cells_answer_side_by_side(pipelines: Pipelines) -> None:
    text = SHOP.held_out[0].text
    async with Client(pipelines.stack.settings) as client:
        (en,), (fr,), (plain,) = await asyncio.gather(
            asked(client, SHOP.tenant, text),
            asked(client, SHOP.tenant, text, in_ring="fr"),
            asked(client, PLAIN.tenant, text),
        )
    assert en.versions.space == "minilm-l6-v2"
    assert fr.versions.space == "random-6x64"
    assert en.versions.encoder == plain.versions.encoder != fr.versions.encoder
    versions = [answer.versions.head for answer in (en, fr, plain)]
    assert versions == [pipelines.heads[name].version for name in ("en", "fr", "plain")]
    assert plain.entities == ()


async def test_a_long_text_is_cut_and_the_answer_says_so(pipelines: Pipelines) -> None:
    async with Client(pipelines.stack.settings) as client:
        short, long = await asked(client, SHOP.tenant, "hello", "send money to Anna " * 200)
    assert not short.truncated
    assert long.truncation is not None
    assert long.truncation.kept == 250 < long.truncation.tokens


async def test_an_unknown_tenant(pipelines: Pipelines) -> None:
    async with Client(pipelines.stack.settings) as client:
        error = await error_of(client, "nobody")
        assert error.code is ErrorCode.UNKNOWN_TENANT
        assert "nobody" in error.message
        elsewhere = await error_of(client, PLAIN.tenant, in_ring="fr")  # a tenant of the other ring
        assert elsewhere.code is ErrorCode.UNKNOWN_TENANT


async def test_an_unknown_ring(pipelines: Pipelines) -> None:
    async with Client(pipelines.stack.settings) as client:
        assert (await error_of(client, SHOP.tenant, in_ring="de")).code is ErrorCode.UNKNOWN_RING


def place(ring: RingSetup, name: str, head: HeadRecord | None) -> PlacementRecord:
    """Give a new tenant a placement; where there is a head, a copy of that record under its name."""
    who = tenant(name)
    if head is not None:
        ring.registrar.writer.put(head.model_copy(update={"tenant": who, "ring": ring.ring}))
    placement = PlacementRecord(ring=ring.ring, tenant=who, cell=C0, head=None if head is None else head.version)
    ring.registrar.writer.put(placement)
    return placement


async def until_routed(client: Client, who: str) -> ManyheadsError | Answer:
    """What the tenant gets once the workers have seen its placement."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.predict(who, "hello", timeout=30)
            except ManyheadsError as error:
                if error.code is not ErrorCode.UNKNOWN_TENANT:
                    return error


async def test_a_tenant_without_an_active_head(pipelines: Pipelines) -> None:
    place(pipelines.en, "headless", None)
    async with Client(pipelines.stack.settings) as client:
        outcome = await until_routed(client, "headless")
    assert isinstance(outcome, ManyheadsError)
    assert outcome.code is ErrorCode.NO_ACTIVE_HEAD


async def test_a_head_made_for_another_embedding_space(pipelines: Pipelines) -> None:
    place(pipelines.en, "stranger", pipelines.heads["fr"])
    async with Client(pipelines.stack.settings) as client:
        outcome = await until_routed(client, "stranger")
        assert isinstance(outcome, ManyheadsError)
        assert outcome.code is ErrorCode.SPACE_MISMATCH
        assert "random-6x64" in outcome.message
        await asked(client, SHOP.tenant, "hello")  # harms nobody else


async def test_a_head_whose_file_lies_about_its_space(pipelines: Pipelines) -> None:
    """The record says this ring's space, the file says another: the file is what counts."""
    honest = pipelines.heads["en"]
    place(pipelines.en, "liar", pipelines.heads["fr"].model_copy(update={"space": honest.space, "view": honest.view}))
    async with Client(pipelines.stack.settings) as client:
        outcome = await until_routed(client, "liar")
        assert isinstance(outcome, ManyheadsError)
        assert outcome.code in (ErrorCode.SPACE_MISMATCH, ErrorCode.ARTIFACT_CORRUPT)
        await asked(client, SHOP.tenant, "hello")


@pytest.mark.parametrize("damage", ["one bit", "cut", "gone", "no head at all"])
async def test_a_damaged_artifact(pipelines: Pipelines, damage: str) -> None:
    store = pipelines.stack.store
    model = bytearray(store.fetch(pipelines.heads["plain"].artifact).read_bytes())
    name = f"damaged-{damage.replace(' ', '-')}"
    if damage == "no head at all":
        ref = store.put("head.onnx", b"\x00 no graph " + name.encode())
    else:
        model += name.encode()  # content of its own
        ref = store.put("head.onnx", bytes(model))
        file = store.fetch(ref)
        match damage:
            case "one bit":
                model[len(model) // 2] ^= 1
                file.write_bytes(bytes(model))
            case "cut":
                file.write_bytes(bytes(model[:-100]))
            case "gone":
                file.unlink()
    place(pipelines.en, name, pipelines.heads["plain"].model_copy(update={"artifact": ref, "version": name}))
    async with Client(pipelines.stack.settings) as client:
        outcome = await until_routed(client, name)
        assert isinstance(outcome, ManyheadsError)
        missing = damage == "gone"
        assert outcome.code is (ErrorCode.ARTIFACT_MISSING if missing else ErrorCode.ARTIFACT_CORRUPT)
        await asked(client, SHOP.tenant, "hello")


def ready_events(stack: LocalStack) -> int:
    """How often a worker has started so far."""
    lines = [line for log in stack.workers.folder.glob("*.log") for line in log.read_text().splitlines()]
    return sum(json.loads(line).get("event") == "worker_ready" for line in lines if line.startswith("{"))


@pytest.mark.parametrize("new_view", ["same view", "another view"])
async def test_a_head_is_swapped_under_load_with_no_lost_or_mixed_answer(pipelines: Pipelines, new_view: str) -> None:
    who = tenant(f"swapped-{new_view.replace(' ', '-')}")
    pipelines.en.teach(who, renamed(PLAIN, "-v1"))
    lesson = pipelines.en.teacher.teach(who, renamed(PLAIN if new_view == "same view" else SHOP, "-v2"))
    second = lesson.version
    before = ready_events(pipelines.stack)
    texts = [example.text for example in SHOP.held_out]
    suffixes: dict[str, set[str]] = {}
    answered, swapped = asyncio.Event(), asyncio.Event()
    seen_after = 0

    async def load(client: Client) -> None:
        nonlocal seen_after
        number = 0
        while seen_after < 50:
            batch = [(who, texts[(number + offset) % len(texts)]) for offset in range(64)]
            number += len(batch)
            async for result in client.predict_many(batch, in_flight=32, timeout=60):
                answer = result.unwrap()
                suffixes.setdefault(answer.versions.head, set()).update(
                    {intent.name[-3:] for intent in answer.intents} | {each.label[-3:] for each in answer.entities}
                )
                answered.set()
                seen_after += swapped.is_set() and answer.versions.head == second

    async with Client(pipelines.stack.settings) as client:
        async with asyncio.timeout(30):
            while isinstance(await until_routed(client, who), ManyheadsError):
                pass
        running = asyncio.create_task(load(client))
        async with asyncio.timeout(60):
            await answered.wait()
            await asyncio.to_thread(pipelines.en.publish, lesson)
            swapped.set()
            await running
    assert len(suffixes) == 2
    assert suffixes.pop(second) == {"-v2"}
    assert list(suffixes.values()) == [{"-v1"}]
    assert ready_events(pipelines.stack) == before
