"""What the lag exporter is told, beside how to reach Kafka."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from manyheads.infra.lag.judge import Rules
from manyheads.infra.settings import Settings


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise PydanticCustomError("pattern", "no regular expression") from error
    return text


class LagSettings(Settings):
    """The lag exporter, from ``MANYHEADS_*`` variables, a file or arguments. Frozen."""

    metrics_port: int = Field(
        default=9308, ge=0, le=65_535, description="a port to serve /metrics, /healthz and /readyz on, 0 for any"
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        description="an address of this machine to serve them on, 0.0.0.0 in a container; they have no password",
    )
    lag_groups: Annotated[str, AfterValidator(_pattern)] = Field(
        default=".*", description="a regular expression that matches the whole names of the groups to measure"
    )
    lag_interval_s: float = Field(default=2.0, ge=0.1, le=3600, description="seconds between two rounds, 0.1 to 3600")
    lag_patience_s: float = Field(
        default=6.0,
        ge=0.1,
        le=86_400,
        description="seconds that an offset may stand still while something waits before that is a STALL, 0.1 to 86400;"
        " more than the groups' commit interval",
    )
    cluster_name: str = Field(default="kafka", description="the label cluster_name of its metrics")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")

    def rules(self) -> Rules:
        """How long to look before judging."""
        return Rules(patience_s=self.lag_patience_s)
