"""kill -9: a worker dies in the middle, and every request is answered all the same."""

import pytest

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


def test_a_killed_batch_workers_requests_are_answered_exactly_once(arena: Arena) -> None:
    lane = Lane.BATCH
    victim = arena.launch(lane, instance="pod-0")
    arena.send(lane, range(COUNT))
    arena.replies[lane].wait_for(COUNT // 20)
    victim.kill()
    successor = arena.launch(lane, instance="pod-0")
    arena.replies[lane].wait_for(COUNT)
    assert successor.stop() == 0
    arena.replies[lane].collect(1.0)
    assert arena.replies[lane].counts == dict.fromkeys(range(COUNT), 1)
    assert uncommitted(arena.settings, arena.group(lane), arena.topics[lane]) == 0


@pytest.mark.parametrize("lane", list(Lane))
def test_killing_one_worker_after_another_loses_nothing(arena: Arena, lane: Lane) -> None:
    for generation in range(3):
        worker = arena.launch(lane, instance="pod-0")
        arena.send(lane, range(generation * 500, generation * 500 + 500))
        arena.replies[lane].wait_for(generation * 500 + 100)
        worker.kill()
    last = arena.launch(lane, instance="pod-0")
    arena.replies[lane].wait_for(1_500)
    assert last.stop() == 0
    arena.replies[lane].collect(1.0)
    assert set(arena.replies[lane].counts) == set(range(1_500))
    if lane is Lane.BATCH:
        assert set(arena.replies[lane].counts.values()) == {1}
    assert uncommitted(arena.settings, arena.group(lane), arena.topics[lane]) == 0
