"""What an encoder worker is told, beside what every worker is."""

from pydantic import Field

from manyheads.encoder_worker.devices import Device
from manyheads.infra.worker.settings import WorkerSettings
from manyheads.topics.names import Ring


class EncoderWorkerSettings(WorkerSettings):
    """One encoder worker, from ``MANYHEADS_*`` variables, a file or arguments. Frozen."""

    ring: Ring = Field(description="the ring whose texts it encodes, such as en; its registry record names the encoder")
    device: Device = Field(
        default=Device.AUTO,
        description="cpu, cuda, or auto: CUDA if torch finds it and the encoder has weights for it, else the CPU",
    )
    threads: int = Field(default=1, ge=1, le=256, description="threads of one run on a CPU, 1 to 256")
    tokens_per_run: int | None = Field(
        default=None, ge=1, le=65_536, description="tokens that share a run at most; unset: what suits the device"
    )
