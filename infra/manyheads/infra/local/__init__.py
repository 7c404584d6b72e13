"""The pipeline on this machine, for ``manyheads up``, the demo, tests and benchmarks.

``stack`` has Kafka, its topics and the model store; ``workers`` the worker processes, with any Kafka.
"""

from manyheads.infra.local.stack import LocalStack, RunningKafka
from manyheads.infra.local.workers import (
    LocalWorkers,
    WorkerKind,
    WorkerSpec,
    encoder_worker,
    environment,
    head_worker,
    inherited_environment,
)

__all__ = [
    "LocalStack",
    "LocalWorkers",
    "RunningKafka",
    "WorkerKind",
    "WorkerSpec",
    "encoder_worker",
    "environment",
    "head_worker",
    "inherited_environment",
]
