"""``python -m manyheads.head_worker``: one head worker."""

import sys

from manyheads.head_worker.settings import HeadWorkerSettings
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store.settings import StoreSettings
from manyheads.infra.worker.program import WorkerProgram


def _run(settings: HeadWorkerSettings, kafka: KafkaSettings, store: StoreSettings) -> None:
    from manyheads.head_worker.worker import run_worker  # noqa: PLC0415 - --help answers without it

    run_worker(settings, kafka, store)


PROGRAM = WorkerProgram(
    module="manyheads.head_worker",
    purpose="A head worker: takes the embeddings of a cell from Kafka and answers each with its tenant's active head.",
    example="MANYHEADS_RING=en MANYHEADS_CELL=c0 MANYHEADS_STORE_URL=s3://models python -m manyheads.head_worker",
    settings=HeadWorkerSettings,
    run=_run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main(sys.argv[1:]))
