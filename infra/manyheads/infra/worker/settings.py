"""What every worker is told, beside how to reach Kafka and the model store."""

from dataclasses import replace

from pydantic import Field

from manyheads.infra.settings import Settings
from manyheads.infra.stage.options import StageOptions


class WorkerSettings(Settings):
    """One worker, from ``MANYHEADS_*`` variables, a file or arguments. Frozen."""

    max_take: int = Field(default=64, ge=1, le=4096, description="records that one compute takes at most, 1 to 4096")
    batch_share: float = Field(
        default=0.4,
        ge=0.01,
        le=1,
        description="share of its time for the batch lane while there is live traffic, 0.01 to 1; without, it has all",
    )
    registry_timeout_s: float = Field(
        default=60.0, gt=0, le=3600, description="seconds to wait for what it serves to be registered"
    )
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="this worker's name among its peers, the same over restarts, such as the pod's; unset: random",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="a port to serve /metrics, /healthz and /readyz on, 0 for any; unset: none",
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        description="an address of this machine to serve them on, 0.0.0.0 in a container; they have no password",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")

    def stage_options(self) -> StageOptions:
        """The bounds of its stage loop."""
        options = StageOptions(max_take=self.max_take, batch_share=self.batch_share)
        return options if self.instance is None else replace(options, instance=self.instance)
