"""Free ports on the loopback address."""

import errno
import random
import socket
from pathlib import Path

from manyheads.topics.errors import BrokerError, ErrorCode

LOOPBACK = "127.0.0.1"
_LOWEST = 10_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_EPHEMERAL_LOWEST = 32_768
_TRIES = 200


def free_ports(count: int) -> tuple[int, ...]:
    """``count`` different ports on which nobody listens now; one may be taken before you bind it, so be ready to retry.

    They lie below the ports that the system gives to outgoing connections. Above, a client that keeps trying to
    reach a stopped broker would sooner or later be given the broker's own port and so keep it from coming back.
    """
    highest = _ephemeral_lowest()
    if highest - _LOWEST < _TRIES:  # a machine that gives nearly all ports to outgoing connections
        return tuple(_any_port() for _ in range(count))
    tries = random.sample(range(_LOWEST, highest), _TRIES)
    found = [port for port in tries if is_free(port)][:count]
    if len(found) < count:
        raise BrokerError(
            ErrorCode.BROKER_UNREACHABLE, f"no {count} free ports among {_TRIES} from {_LOWEST} to {highest}"
        )
    return tuple(found)


def is_free(port: int) -> bool:
    """Whether the port can be bound on the loopback address, as a server that restarts would."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _ephemeral_lowest() -> int:
    try:
        return int(_EPHEMERAL_RANGE.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):  # not Linux
        return _USUAL_EPHEMERAL_LOWEST


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
