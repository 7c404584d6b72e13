"""``python -m manyheads.encoder_worker``: one encoder worker."""

import sys

from manyheads.encoder_worker.settings import EncoderWorkerSettings
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store.settings import StoreSettings
from manyheads.infra.worker.program import WorkerProgram


def _run(settings: EncoderWorkerSettings, kafka: KafkaSettings, store: StoreSettings) -> None:
    from manyheads.encoder_worker.worker import run_worker  # noqa: PLC0415 - --help answers without it

    run_worker(settings, kafka, store)


PROGRAM = WorkerProgram(
    module="manyheads.encoder_worker",
    purpose="An encoder worker: takes the texts of a ring from Kafka and publishes what each head reads of them.",
    example="MANYHEADS_RING=en MANYHEADS_STORE_URL=s3://models/manyheads python -m manyheads.encoder_worker",
    settings=EncoderWorkerSettings,
    run=_run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main(sys.argv[1:]))
