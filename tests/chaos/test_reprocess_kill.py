"""A bulk job whose processes, workers and broker are killed at random moments: the output of an undisturbed one.

``--moments 30 --seed N`` strikes more often than CI does.
"""

import asyncio
import random
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from manyheads.cli.ring_setup import RingSetup
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.producers.reprocess.job_log import JobLog
from manyheads.producers.reprocess.options import Destination
from manyheads.topics.errors import BrokerError
from manyheads.topics.names import tenant
from tests.broker.pipelines import C0, EN, PLAIN, intents_only, small_random
from tests.support.kafka import Kafka, NewKafka
from tests.support.load import wait_until
from tests.support.reprocess import (
    Log,
    Place,
    options,
    predictions,
    rejects_of,
    rows_of,
    run_job,
    start_process,
    write_log,
)

ENCODER, HEAD = 0, 1
PATIENCE_S = 300.0
OTHER = intents_only(PLAIN, tenant("other-shop"))
ROWS, TEXTS = 600, 300
BUCKETS = 15
"""of 40 rows, and the rows that cannot be processed"""


@dataclass(frozen=True)
class Bulk:
    """A ring with one encoder worker (number 0), one head worker (1), two tenants, and a broker that may be killed."""

    kafka: Kafka
    stack: LocalStack
    log: Log
    undisturbed: Mapping[Place, tuple[Any, ...]]
    """what is predicted if nothing is killed"""


@pytest.fixture(scope="module")
def bulk(new_kafka: NewKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bulk]:
    log, out = _log(tmp_path_factory.mktemp("logs")), tmp_path_factory.mktemp("undisturbed")
    with new_kafka() as kafka, LocalStack(kafka=kafka) as stack, RingSetup(stack, EN, (C0,)) as local:
        local.install(small_random)
        for each in (PLAIN, OTHER):
            local.teach(each.tenant, each)
        stack.workers.start(encoder_worker(EN), head_worker(EN, C0))
        asyncio.run(run_job(stack.settings, options(EN, log.inputs, Destination(str(out))), "undisturbed"))
        yield Bulk(kafka, stack, log, predictions(rows_of(out)))
        stack.workers.check()


def _log(folder: Path) -> Log:
    """Two tenants' rows, most texts in several of them."""
    words = [example.text for example in PLAIN.held_out]
    texts = [f"{words[n % len(words)]} {n // len(words)}" for n in range(TEXTS)]
    drawn = random.Random(0)
    asks = [(drawn.choice((PLAIN.tenant, OTHER.tenant)), drawn.choice(texts)) for _ in range(ROWS)]
    return write_log(folder, asks, spoil_every=50)


class Progress:
    """How many buckets of a job are done, seen from outside."""

    def __init__(self, stack: LocalStack, job: str) -> None:
        self._log = JobLog(stack.settings, job)
        self._opened = False

    def done(self) -> int:
        try:
            if not self._opened:
                self._log.open()
                self._opened = self._log.plan is not None
            self._log.poll()
        except BrokerError:  # it is being killed
            return 0
        return len(self._log.done)

    def close(self) -> None:
        self._log.close()


def killed(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def test_killed_at_random_moments_each_row_is_there_once(
    bulk: Bulk, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    stack, log = bulk.stack, bulk.log
    moments, seed = pytestconfig.getoption("moments"), pytestconfig.getoption("seed")
    drawn = random.Random(seed)
    out, job = tmp_path / "out", "disturbed"
    processes = [start_process(stack.settings, EN, log, out, job) for _ in range(2)]

    def strike_job() -> None:
        victim = drawn.randrange(len(processes))
        killed(processes[victim])
        processes[victim] = start_process(stack.settings, EN, log, out, job)

    def strike_workers() -> None:
        for worker in (ENCODER, HEAD):
            stack.workers.kill(worker)
        stack.workers.restart(ENCODER, HEAD)

    def strike_broker() -> None:
        bulk.kafka.kill()
        bulk.kafka.restart()

    strikes: list[Callable[[], None]] = [strike_job, strike_workers, strike_broker]
    progress = Progress(stack, job)
    try:
        # Of each kind one at least; each when so many buckets are done, wherever the others are then.
        drawn_strikes = [*strikes, *drawn.choices(strikes, k=max(0, moments - len(strikes)))][:moments]
        drawn.shuffle(drawn_strikes)
        for bucket, strike in zip(sorted(drawn.choices(range(BUCKETS - 4), k=moments)), drawn_strikes, strict=True):
            wait_until(lambda least=bucket: progress.done() >= least, PATIENCE_S)  # type: ignore[misc]
            strike()
        codes = [process.wait(PATIENCE_S) for process in processes]
    finally:
        progress.close()
        for process in processes:
            if process.poll() is None:
                killed(process)
    assert codes == [3, 3], out.with_suffix(".log").read_text()[-4_000:]
    assert predictions(rows_of(out)) == bulk.undisturbed
    assert bulk.undisturbed.keys() == log.rows.keys()
    assert rejects_of(out / "_rejects.jsonl") == log.rejected


def test_ctrl_c_says_how_to_go_on_and_a_second_run_does(bulk: Bulk, tmp_path: Path) -> None:
    stack, log = bulk.stack, bulk.log
    out, job = tmp_path / "out", "interrupted"
    process = start_process(stack.settings, EN, log, out, job)
    progress = Progress(stack, job)
    wait_until(lambda: progress.done() >= 1, PATIENCE_S)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    said = out.with_suffix(".log").read_text()
    assert "Run the same command again" in " ".join(said.split())
    assert "Traceback" not in said
    progress.close()
    assert start_process(stack.settings, EN, log, out, job).wait(PATIENCE_S) == 3
    assert predictions(rows_of(out)).keys() == log.rows.keys()
    assert not (out / "_manyheads" / "unfinished").exists()
