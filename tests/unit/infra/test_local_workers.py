"""What a local stack tells its workers and reads of them; the workers themselves run in tests/broker."""

import json

import pytest

from manyheads.infra.local.workers import environment, is_ready
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.store import StoreSettings


def test_the_environment_is_what_the_settings_are_read_from(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        KafkaSettings,
        bootstrap_servers="127.0.0.1:1234",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="ann",
        sasl_password="secret",
    )
    found = environment(settings)
    assert found["MANYHEADS_BOOTSTRAP_SERVERS"] == "127.0.0.1:1234"
    assert found["MANYHEADS_SASL_PASSWORD"] == "secret"
    assert "MANYHEADS_SSL_CA_FILE" not in found
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    assert load_settings(KafkaSettings) == settings


def test_the_store_goes_along() -> None:
    store = load_settings(StoreSettings, store_url="/models")
    assert environment(store) == {"MANYHEADS_STORE_URL": "/models"}


@pytest.mark.parametrize(
    ("line", "ready"),
    [
        (json.dumps({"event": "worker_ready", "stage": "head"}), True),
        (json.dumps({"event": "worker_draining"}), False),
        (json.dumps({"event": "log", "message": "worker_ready soon"}), False),
        ("worker_ready", False),
        ('["worker_ready"]', False),
        ('{"event": "worker_ready"', False),
        ("", False),
    ],
)
def test_only_the_ready_event_says_ready(line: str, ready: bool) -> None:
    assert is_ready(line) is ready
