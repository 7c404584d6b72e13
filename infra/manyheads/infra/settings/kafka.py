"""How to reach Kafka: one frozen settings object, and each client library's own configuration made from it."""

import re
import ssl
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from manyheads.infra.settings.sources import Settings, variable
from manyheads.topics.errors import ErrorCode, InvalidSettings

_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class SecurityProtocol(StrEnum):
    """Whether the connection is encrypted, and whether we say who we are."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def tls(self) -> bool:
        return self in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL)

    @property
    def sasl(self) -> bool:
        return self in (SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL)


class SaslMechanism(StrEnum):
    """How a user name and a password are presented."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class _Hidden(str):
    """A secret on its way into a client: the client reads it as any str, a dict or log line that holds it hides it.

    kafka-python logs its whole configuration at DEBUG.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def _servers(text: str) -> str:
    servers = [part.strip() for part in text.split(",")]
    for server in servers:
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match[1]) < 65536:
            raise PydanticCustomError("bootstrap_servers", "not host:port")
    return ",".join(servers)


class KafkaSettings(Settings):
    """How to reach Kafka, from arguments, ``MANYHEADS_*`` variables or a file. Frozen; secrets never print.

    Build it with ``load_settings(KafkaSettings)``, which raises InvalidSettings instead of pydantic's own error.
    Certificates are always verified, host names included: a private authority goes into ``ssl_ca_file``.
    """

    bootstrap_servers: Annotated[str, AfterValidator(_servers)] = Field(
        default="localhost:9092", description="one or more brokers as host:port, separated by commas"
    )
    client_id: str = Field(
        default="manyheads",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="the name that broker logs and quotas know us by: letters, digits, '.', '_' and '-'",
    )
    security_protocol: SecurityProtocol = Field(
        default=SecurityProtocol.PLAINTEXT, description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    sasl_mechanism: SaslMechanism = Field(
        default=SaslMechanism.SCRAM_SHA_512, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: str | None = Field(default=None, description="the user name to log in with")
    sasl_password: SecretStr | None = Field(default=None, description="the password to log in with")
    ssl_ca_file: FilePath | None = Field(
        default=None, description="an existing PEM file of the authorities to trust; unset: the system's"
    )
    ssl_cert_file: FilePath | None = Field(default=None, description="an existing PEM file of our certificate")
    ssl_key_file: FilePath | None = Field(default=None, description="an existing PEM file of our private key")
    ssl_key_password: SecretStr | None = Field(default=None, description="the password of the private key")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # Sending in clear what somebody meant to protect is worse than not starting.
        protocol = f"{variable('security_protocol')}={self.security_protocol}"
        if self.security_protocol.sasl:
            for name in self._unset("sasl_username", "sasl_password"):
                raise _rule(f"{variable(name)} is not set: {protocol} logs in with a user name and a password")
        else:
            for name in self._given("sasl_username", "sasl_password"):
                raise _rule(f"{variable(name)} is set, but {protocol} logs nobody in: use SASL_SSL, or unset it")
        if not self.security_protocol.tls:
            for name in self._given("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password"):
                raise _rule(
                    f"{variable(name)} is set, but {protocol} encrypts nothing: use SASL_SSL or SSL, or unset it"
                )
        if self._given("ssl_cert_file", "ssl_key_file", "ssl_key_password"):
            for name in self._unset("ssl_cert_file", "ssl_key_file"):
                raise _rule(f"{variable(name)} is not set: a certificate and its private key go together")
        return self

    def _given(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]

    def _unset(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name) is None]

    def confluent(self) -> dict[str, str]:
        """What librdkafka needs to connect (confluent-kafka); consumers and producers add their own. Holds secrets."""
        config: dict[str, str] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.client_id,
            "security.protocol": self.security_protocol.value,
        }
        if self.security_protocol.sasl:
            username, password = self._login()
            config |= {
                "sasl.mechanism": self.sasl_mechanism.value,
                "sasl.username": username,
                "sasl.password": password,
            }
        if self.security_protocol.tls:
            files: dict[str, Path | None] = {
                "ssl.ca.location": self.ssl_ca_file,
                "ssl.certificate.location": self.ssl_cert_file,
                "ssl.key.location": self.ssl_key_file,
            }
            config |= {name: str(path) for name, path in files.items() if path is not None}
            if self.ssl_key_password is not None:
                config["ssl.key.password"] = _Hidden(self.ssl_key_password.get_secret_value())
        return config

    def aiokafka(self) -> dict[str, Any]:
        """The connection arguments of every aiokafka client. Holds secrets.

        Raises:
            InvalidSettings: a certificate or key file cannot be read.
        """
        return self._python()

    def kafka_python(self) -> dict[str, Any]:
        """The connection arguments of every kafka-python client. Holds secrets.

        Raises:
            InvalidSettings: a certificate or key file cannot be read.
        """
        return self._python()

    def _python(self) -> dict[str, Any]:
        # aiokafka began as a fork of kafka-python; for connecting, the argument names are still the same.
        config: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol.value,
        }
        if self.security_protocol.sasl:
            username, password = self._login()
            config |= {
                "sasl_mechanism": self.sasl_mechanism.value,
                "sasl_plain_username": username,
                "sasl_plain_password": password,
            }
        if self.security_protocol.tls:
            config["ssl_context"] = self._ssl_context()
        return config

    def _login(self) -> tuple[str, str]:
        assert self.sasl_username is not None  # the validator saw to both
        assert self.sasl_password is not None
        return self.sasl_username, _Hidden(self.sasl_password.get_secret_value())

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_file)
            if self.ssl_cert_file is not None:
                password = self.ssl_key_password.get_secret_value() if self.ssl_key_password is not None else ""
                context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password)
        except OSError as error:  # ssl.SSLError is one
            names = self._given("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password")
            raise InvalidSettings(
                ErrorCode.INVALID_SETTINGS,
                f"{' or '.join(variable(name) for name in names)} cannot be used ({error}): they take PEM files of"
                " authorities, of a certificate and of its private key, with the password of the key",
            ) from error
        return context


def _rule(message: str) -> PydanticCustomError:
    # The message holds names and enum values only; PydanticCustomError would format braces.
    return PydanticCustomError("settings_rule", "{rule}", {"rule": message})
