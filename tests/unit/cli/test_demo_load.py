from manyheads.cli.demo.load import Asked, LoadResult, shuffled_requests
from manyheads.cli.demo.utterances import EntityAnnotation, LabelledText, TenantExamples
from manyheads.producers import Answer, Entity
from manyheads.topics.messages import Intent, StageTiming, Timings, Versions
from manyheads.topics.names import tenant

ACME, BLUE = tenant("acme"), tenant("blue")
HELLO, PAY, FLY = LabelledText("hello", "greet"), LabelledText("pay Anna", "pay"), LabelledText("fly", "book")
TENANTS = (
    TenantExamples(tenant=ACME, business="A bank.", train=(HELLO,), held_out=(HELLO, PAY)),
    TenantExamples(tenant=BLUE, business="An airline.", train=(FLY,), held_out=(FLY,)),
)
EVERY = {Asked(ACME, HELLO), Asked(ACME, PAY), Asked(BLUE, FLY)}


def test_every_held_out_utterance_comes_once_before_any_comes_again() -> None:
    requests = shuffled_requests(TENANTS, 8)
    assert len(requests) == 8
    assert set(requests[:3]) == set(requests[3:6]) == EVERY
    assert set(requests[6:]) < EVERY


def test_the_order_is_random_and_the_same_every_time() -> None:
    requests = shuffled_requests(TENANTS, 300)
    assert requests == shuffled_requests(TENANTS, 300)
    assert requests[:150] != requests[150:]


def test_answers_are_scored_for_their_own_tenant() -> None:
    expected = LabelledText("pay Anna", "pay", (EntityAnnotation("payee", 4, 8),))
    answer = Answer(
        tenant="acme",
        intents=(Intent(name="pay", confidence=0.9),),
        entities=(Entity("payee", 4, 8, "Anna", 0.8),),
        versions=Versions(head="h1", encoder="e1", space="s"),
        timings=Timings(encoder=StageTiming(queue_ms=0, compute_ms=1), head=StageTiming(queue_ms=0, compute_ms=1)),
        truncation=None,
        latency_ms=5.0,
    )
    result = LoadResult(sent=1, answers=[(Asked(ACME, expected), answer)])
    (scored,) = result.scored(ACME)
    assert (scored.intent, scored.entities) == ("pay", frozenset({("payee", 4, 8)}))
    assert list(result.scored(BLUE)) == []
