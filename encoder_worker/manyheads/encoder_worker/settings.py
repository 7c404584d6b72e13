"""What an encoder worker is told, beside how to reach Kafka and the model store."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from manyheads.encoder_worker.devices import Device
from manyheads.infra.settings import ENV_PREFIX
from manyheads.topics.names import Ring


class EncoderWorkerSettings(BaseSettings):
    """One encoder worker, from ``MANYHEADS_*`` variables or from arguments. Frozen."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    ring: Ring = Field(description="the ring whose texts it encodes, such as en; its registry record names the encoder")
    device: Device = Field(
        default=Device.AUTO,
        description="cpu, cuda, or auto: CUDA if torch finds it and the encoder has weights for it, else the CPU",
    )
    threads: int = Field(default=1, ge=1, le=256, description="threads of one run on a CPU, 1 to 256")
    tokens_per_run: int | None = Field(
        default=None, ge=1, le=65_536, description="tokens that share a run at most; unset: what suits the device"
    )
    max_take: int = Field(default=64, ge=1, le=4096, description="requests that one compute takes at most, 1 to 4096")
    registry_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="seconds to wait for the ring and its encoder to be registered",
    )
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="this worker's name among its peers, the same over restarts, such as the pod's; unset: random",
    )
    metrics_port: int | None = Field(
        default=None, ge=0, le=65_535, description="a port to serve Prometheus metrics on, 0 for any; unset: none"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")
