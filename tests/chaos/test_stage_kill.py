"""kill -9: a worker dies in the middle, and every request is answered all the same."""

from manyheads.topics.names import Lane
from tests.chaos.conftest import Arena
from tests.support.load import uncommitted

COUNT = 4_000


def test_a_killed_interactive_workers_requests_are_answered_by_the_others(arena: Arena) -> None:
    lane = Lane.INTERACTIVE
    victim, survivor = arena.launch(lane), arena.launch(lane)
    arena.send(lane, range(COUNT))
    arena.replies[lane].wait_for(COUNT // 20)
    victim.kill()
    arena.replies[lane].wait_for(COUNT)
    assert survivor.stop() == 0
    assert set(arena.replies[lane].counts) == set(range(COUNT))
    assert uncommitted(arena.settings, arena.group(lane), arena.topics[lane]) == 0


def test_killed_batch_workers_requests_are_answered_exactly_once(arena: Arena) -> None:
    lane = Lane.BATCH
    arena.send(lane, range(COUNT))
    for generation in range(1, 3):
        victim = arena.launch(lane, instance="pod-0")
        arena.replies[lane].wait_for(generation * COUNT // 20)
        victim.kill()
    successor = arena.launch(lane, instance="pod-0")
    arena.replies[lane].wait_for(COUNT)
    assert successor.stop() == 0
    arena.replies[lane].collect(1.0)
    assert arena.replies[lane].counts == dict.fromkeys(range(COUNT), 1)
    assert uncommitted(arena.settings, arena.group(lane), arena.topics[lane]) == 0
