"""Settings: what each client gets, what a wrong value says, and that no secret ever shows."""

import ssl
from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from manyheads.infra.settings import ENV_PREFIX, KafkaSettings, load_settings
from manyheads.topics.errors import ErrorCode, InvalidSettings

# A certificate for "localhost" and its key, made for these tests and used nowhere else.
CERTIFICATE = Path(__file__).parent / "certificates" / "cert.pem"
KEY = Path(__file__).parent / "certificates" / "key.pem"
KEY_PASSWORD = "throwaway"
SECRET = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in KafkaSettings.model_fields:
        monkeypatch.delenv(f"{ENV_PREFIX}{field.upper()}", raising=False)


def refused(**overrides: object) -> str:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(KafkaSettings, **overrides)
    assert caught.value.code is ErrorCode.INVALID_SETTINGS
    assert caught.value.__context__ is None, "pydantic's error, which holds the values, must not be chained"
    return caught.value.message


def test_plain_is_the_default_for_every_client() -> None:
    settings = load_settings(KafkaSettings)
    assert settings.confluent() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "manyheads",
        "security.protocol": "PLAINTEXT",
    }
    expected = {
        "bootstrap_servers": ["localhost:9092"],
        "client_id": "manyheads",
        "security_protocol": "PLAINTEXT",
    }
    assert settings.aiokafka() == expected
    assert settings.kafka_python() == expected


def test_variables_are_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_BOOTSTRAP_SERVERS", "a:1, [::1]:2")
    monkeypatch.setenv("MANYHEADS_CLIENT_ID", "from-environment")
    monkeypatch.setenv("MANYHEADS_SASL_PASSWORD", "")  # as a compose file leaves it: not set
    settings = load_settings(KafkaSettings, client_id="from-argument")
    assert settings.confluent()["bootstrap.servers"] == "a:1,[::1]:2"
    assert settings.kafka_python()["bootstrap_servers"] == ["a:1", "[::1]:2"]
    assert settings.client_id == "from-argument"
    assert settings.sasl_password is None


def test_sasl_reaches_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("MANYHEADS_SASL_MECHANISM", "SCRAM-SHA-256")
    monkeypatch.setenv("MANYHEADS_SASL_USERNAME", "nlu")
    monkeypatch.setenv("MANYHEADS_SASL_PASSWORD", SECRET)
    settings = load_settings(KafkaSettings)
    assert settings.confluent() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "manyheads",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "nlu",
        "sasl.password": SECRET,
    }
    for config in (settings.aiokafka(), settings.kafka_python()):
        assert config["sasl_mechanism"] == "SCRAM-SHA-256"
        assert config["sasl_plain_username"] == "nlu"
        assert config["sasl_plain_password"] == SECRET
        assert f"{config['sasl_plain_password']}".encode() == SECRET.encode(), "clients must read the true value"


def test_tls_reaches_every_client() -> None:
    settings = load_settings(
        KafkaSettings,
        security_protocol="SSL",
        ssl_ca_file=CERTIFICATE,
        ssl_cert_file=CERTIFICATE,
        ssl_key_file=KEY,
        ssl_key_password=KEY_PASSWORD,
    )
    assert settings.confluent() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "manyheads",
        "security.protocol": "SSL",
        "ssl.ca.location": str(CERTIFICATE),
        "ssl.certificate.location": str(CERTIFICATE),
        "ssl.key.location": str(KEY),
        "ssl.key.password": KEY_PASSWORD,
    }
    for config in (settings.aiokafka(), settings.kafka_python()):
        context = config["ssl_context"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert [dict(part[0] for part in ca["subject"]) for ca in context.get_ca_certs()] == [
            {"commonName": "localhost"}
        ]


def test_tls_without_files_trusts_the_machine() -> None:
    settings = load_settings(KafkaSettings, security_protocol="SSL")
    assert "ssl.ca.location" not in settings.confluent()
    assert settings.aiokafka()["ssl_context"].verify_mode is ssl.CERT_REQUIRED


def test_secrets_show_nowhere() -> None:
    settings = load_settings(
        KafkaSettings,
        security_protocol="SASL_SSL",
        sasl_username="nlu",
        sasl_password=SECRET,
        ssl_cert_file=CERTIFICATE,
        ssl_key_file=KEY,
        ssl_key_password=KEY_PASSWORD,
    )
    shown = (
        repr(settings),
        str(settings),
        f"{settings.confluent()}",
        f"{settings.aiokafka()}",
        repr(settings.kafka_python()),
        settings.model_dump_json(),
    )
    for text in shown:
        assert SECRET not in text
        assert KEY_PASSWORD not in text


@pytest.mark.parametrize(
    ("overrides", "variable", "says"),
    [
        ({"bootstrap_servers": "localhost"}, "MANYHEADS_BOOTSTRAP_SERVERS='localhost'", "host:port"),
        ({"bootstrap_servers": "localhost:99999"}, "MANYHEADS_BOOTSTRAP_SERVERS", "host:port"),
        ({"bootstrap_servers": "a:1,,b:2"}, "MANYHEADS_BOOTSTRAP_SERVERS", "host:port"),
        ({"security_protocol": "TLS"}, "MANYHEADS_SECURITY_PROTOCOL='TLS'", "PLAINTEXT, SSL"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "MANYHEADS_SASL_MECHANISM", "SCRAM-SHA-512"),
        ({"client_id": "a b"}, "MANYHEADS_CLIENT_ID='a b'", "letters, digits"),
        ({"security_protocol": "SSL", "ssl_ca_file": "nowhere.pem"}, "MANYHEADS_SSL_CA_FILE='nowhere.pem'", "PEM"),
        (
            {"security_protocol": "SASL_SSL", "sasl_password": SECRET},
            "MANYHEADS_SASL_USERNAME is not set",
            "MANYHEADS_SECURITY_PROTOCOL=SASL_SSL",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "nlu"},
            "MANYHEADS_SASL_PASSWORD is not set",
            "a user name and a password",
        ),
        ({"sasl_username": "nlu"}, "MANYHEADS_SASL_USERNAME is set", "MANYHEADS_SECURITY_PROTOCOL=PLAINTEXT"),
        ({"ssl_ca_file": CERTIFICATE}, "MANYHEADS_SSL_CA_FILE is set", "encrypts nothing"),
        (
            {"security_protocol": "SSL", "ssl_cert_file": CERTIFICATE},
            "MANYHEADS_SSL_KEY_FILE is not set",
            "go together",
        ),
        (
            {"security_protocol": "SSL", "ssl_key_password": KEY_PASSWORD},
            "MANYHEADS_SSL_CERT_FILE is not set",
            "go together",
        ),
    ],
)
def test_a_wrong_setting_names_itself(overrides: dict[str, object], variable: str, says: str) -> None:
    message = refused(**overrides)
    assert variable in message
    assert says in message
    assert SECRET not in message
    assert KEY_PASSWORD not in message


def test_all_wrong_settings_are_told_at_once() -> None:
    message = refused(bootstrap_servers="x", security_protocol="y", nonsense=1)
    assert "MANYHEADS_BOOTSTRAP_SERVERS" in message
    assert "MANYHEADS_SECURITY_PROTOCOL" in message
    assert "no setting 'nonsense'" in message


def test_a_wrong_secret_is_not_quoted() -> None:
    message = refused(sasl_password=["hunter2"])
    assert "MANYHEADS_SASL_PASSWORD" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_key_that_cannot_be_opened_names_the_settings(password: str | None) -> None:
    settings = load_settings(
        KafkaSettings,
        security_protocol="SSL",
        ssl_cert_file=CERTIFICATE,
        ssl_key_file=KEY,
        ssl_key_password=password,
    )
    with pytest.raises(InvalidSettings, match="MANYHEADS_SSL_KEY_FILE"):
        settings.aiokafka()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(KafkaSettings).client_id = "other"  # type: ignore[misc]


class _Component(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    ring: str = Field(description="the ring's name")
    token: SecretStr = Field(default=SecretStr(""), description="a token")
    shares: dict[str, int] = Field(default={}, description="a JSON object")


def test_any_component_loads_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_RING", "en")
    assert load_settings(_Component).ring == "en"
    assert load_settings(_Component, ring="fr").ring == "fr"


def test_a_missing_setting_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANYHEADS_RING", raising=False)
    with pytest.raises(InvalidSettings, match="MANYHEADS_RING is not set: it takes the ring's name"):
        load_settings(_Component)


def test_broken_json_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_RING", "en")
    monkeypatch.setenv("MANYHEADS_SHARES", "{")
    with pytest.raises(InvalidSettings, match="MANYHEADS_SHARES is wrong: it takes a JSON object"):
        load_settings(_Component)
