"""What the dashboard is told, beside how to reach Kafka."""

import ipaddress
import secrets
from typing import Self

from pydantic import Field, SecretStr

from manyheads.infra.settings import Settings

_TOKEN_BYTES = 24


class DashboardSettings(Settings):
    """The dashboard's server, from ``MANYHEADS_DASHBOARD_*`` variables, a file or arguments. Frozen."""

    dashboard_host: str = Field(
        default="127.0.0.1",
        pattern=r"^[A-Za-z0-9.:_-]{1,253}$",
        description="the address to listen on; anything but loopback asks for a token",
    )
    dashboard_port: int = Field(default=8080, ge=0, le=65_535, description="the port to listen on, 0 for any")
    dashboard_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="what a browser must present, 16 characters at least; unset: none on loopback, else a random one",
    )

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beyond this machine can connect."""
        return is_loopback(self.dashboard_host)

    def with_token(self) -> Self:
        """The same settings; off loopback with a random token if none is set."""
        if self.is_loopback or self.dashboard_token is not None:
            return self
        return self.model_copy(update={"dashboard_token": SecretStr(secrets.token_urlsafe(_TOKEN_BYTES))})


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, without its port, is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
