"""The pipeline on this machine: an embedded Kafka, its topics, worker processes.

``stack`` has the broker and the topics, ``workers`` the processes.
"""

from manyheads.infra.local.workers import LocalWorkers, WorkerKind, WorkerSpec, encoder_worker, head_worker

__all__ = ["LocalWorkers", "WorkerKind", "WorkerSpec", "encoder_worker", "head_worker"]
