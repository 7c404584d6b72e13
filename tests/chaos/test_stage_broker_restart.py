"""The broker dies under load and comes back: the same worker process answers everything."""

from manyheads.topics.names import Lane
from tests.chaos.conftest import Arena
from tests.support.kafka import Kafka
from tests.support.load import uncommitted

COUNT = 3_000


def test_a_worker_lives_through_the_death_of_its_broker(mortal_kafka: Kafka, mortal_arena: Arena) -> None:
    arena = mortal_arena
    worker = arena.launch(*Lane)
    for lane in Lane:
        arena.send(lane, range(COUNT))
    arena.replies[Lane.INTERACTIVE].wait_for(COUNT // 10)
    mortal_kafka.kill()
    mortal_kafka.restart()
    for lane in Lane:
        arena.replies[lane].wait_for(COUNT // 5)
    mortal_kafka.kill()
    mortal_kafka.restart()
    for lane in Lane:
        arena.send(lane, range(COUNT, COUNT + 100))
        arena.replies[lane].wait_for(COUNT + 100)
    assert worker.process.poll() is None
    assert worker.stop() == 0
    for lane in Lane:
        assert set(arena.replies[lane].counts) == set(range(COUNT + 100))
        assert uncommitted(arena.settings, arena.group(lane), arena.topics[lane]) == 0
    assert set(arena.replies[Lane.BATCH].counts.values()) == {1}


def test_a_worker_without_a_broker_still_stops(mortal_kafka: Kafka, mortal_arena: Arena) -> None:
    worker = mortal_arena.launch(*Lane, drain_timeout_s=2.0, revoke_timeout_s=1.0)
    mortal_arena.send(Lane.INTERACTIVE, range(2_000))
    mortal_arena.replies[Lane.INTERACTIVE].wait_for(100)
    mortal_kafka.kill()
    assert worker.stop(timeout_s=60) == 0
