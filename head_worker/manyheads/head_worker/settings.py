"""What a head worker is told, beside what every worker is."""

from pydantic import Field

from manyheads.infra.worker.settings import WorkerSettings
from manyheads.topics.names import Cell, Ring


class HeadWorkerSettings(WorkerSettings):
    """One head worker, from ``MANYHEADS_*`` variables, a file or arguments. Frozen."""

    ring: Ring = Field(description="the ring whose embeddings it reads, such as en")
    cell: Cell = Field(description="the cell of that ring whose tenants it answers, such as c0")
    grace_s: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="seconds that a head stays in memory when another took its place, for what is still on its way",
    )
