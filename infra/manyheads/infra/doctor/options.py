"""What the doctor is asked to look at."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from manyheads.topics.names import RingName


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """What to look at."""

    bootstrap_servers: str | None = None
    """over the environment's"""
    store_url: str | None = None
    """over the environment's"""
    ring: RingName | None = None
    """only this one; all that are registered if None"""
    deep: bool = False
    """read every artifact to its end"""
    timeout_s: float = 5.0
    """for each question to Kafka"""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
