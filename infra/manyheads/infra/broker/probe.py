"""Asking a broker whether it serves, in Kafka's own protocol and without a client library.

A port that is open says little: Kafka listens before it serves. A Metadata answer comes from a broker that does, and
lists the brokers that the controller lets serve. The fields are those of Kafka's protocol guide, in versions that
every broker since 2.1 speaks.
"""

import re
import socket
import struct
from dataclasses import dataclass, field

from manyheads.topics.errors import ErrorCode, InvalidRequest

_METADATA, _METADATA_VERSION = 3, 1
_SASL_HANDSHAKE, _SASL_HANDSHAKE_VERSION = 17, 1
_SASL_AUTHENTICATE, _SASL_AUTHENTICATE_VERSION = 36, 0
_USERNAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_CLIENT_ID = b"manyheads-probe"
_MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Login:
    """A user name (letters, digits, ``.``, ``_`` and ``-``) and a password, for SASL/PLAIN."""

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _USERNAME.fullmatch(self.username):
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT, f"{self.username!r:.80} is no user name: use letters, digits, '.', '_', '-'"
            )


def serving_brokers(host: str, port: int, login: Login | None = None, timeout_s: float = 1.0) -> int:
    """How many brokers of the cluster serve, as this one sees it; 0 if it does not answer yet, or answers nonsense."""
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            if login is not None:
                _log_in(connection, login)
            # An empty list of topics: only the brokers are wanted.
            answer = _ask(connection, _METADATA, _METADATA_VERSION, struct.pack(">i", 0))
    except (OSError, EOFError):
        return 0
    (brokers,) = struct.unpack_from(">i", answer)
    return max(0, int(brokers))


def _log_in(connection: socket.socket, login: Login) -> None:
    mechanism = b"PLAIN"
    handshake = struct.pack(">h", len(mechanism)) + mechanism
    _ask(connection, _SASL_HANDSHAKE, _SASL_HANDSHAKE_VERSION, handshake)
    token = b"\0".join((b"", login.username.encode(), login.password.encode()))
    _ask(connection, _SASL_AUTHENTICATE, _SASL_AUTHENTICATE_VERSION, struct.pack(">i", len(token)) + token)


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    header = struct.pack(f">hhih{len(_CLIENT_ID)}s", api, version, 0, len(_CLIENT_ID), _CLIENT_ID)
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    (length,) = struct.unpack(">i", _read(connection, 4))
    if not 8 <= length <= _MAX_ANSWER_BYTES:
        raise EOFError(f"no Kafka answer: {length} bytes")
    return _read(connection, length)[4:]  # after the correlation id


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        received = connection.recv(length - len(data))
        if not received:
            raise EOFError("the broker closed the connection")
        data += received
    return data
