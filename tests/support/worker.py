"""A stage worker as a process: ``python -m tests.support.worker '{"servers": ..., "inputs": [...]}'``."""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.stage.options import LaneInput, StageOptions
from manyheads.infra.stage.work import Job, Outcome
from manyheads.infra.stage.worker import StageWorker, run_until_signalled
from manyheads.infra.telemetry import configure_logging
from manyheads.topics.names import Lane, ring
from tests.support.stages import AskedStage

_ROUNDS = 1_000
"""of hashing for each record: some tenths of a millisecond"""


class HashingStage(AskedStage):
    """Computes something before each outcome, so that there is a middle to be killed in."""

    def process(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        for index, outcome in super().process(jobs):
            hashlib.pbkdf2_hmac("sha256", jobs[index].record.value or b"", b"salt", _ROUNDS)
            yield index, outcome


def main(arguments: dict[str, Any]) -> None:
    configure_logging("INFO")
    inputs = [LaneInput(Lane(lane), ring("en"), topic, group) for lane, topic, group in arguments["inputs"]]
    worker = StageWorker(
        load_settings(KafkaSettings, bootstrap_servers=arguments["servers"]),
        HashingStage(),
        inputs,
        StageOptions(**arguments.get("options", {})),
    )
    run_until_signalled(worker)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
