"""What a local stack tells its workers and reads of them; the workers themselves run in tests/broker."""

import json
import os
from pathlib import Path

import pytest

from manyheads.infra.local import LocalWorkers, encoder_worker
from manyheads.infra.local.workers import environment, inherited_environment, is_ready
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.store import StoreSettings
from manyheads.topics.errors import ErrorCode, InternalError
from manyheads.topics.names import ring


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


@pytest.mark.parametrize(
    "name",
    [
        "MANYHEADS_BOOTSTRAP_SERVERS",
        "MANYHEADS_SASL_USERNAME",
        "manyheads_sasl_password",
        "MANYHEADS_SSL_CA_FILE",
        "MANYHEADS_STORE_URL",
        "MANYHEADS_STORE_CACHE_DIR",
        "MANYHEADS_METRICS_PORT",
        "MANYHEADS_METRICS_HOST",
        "MANYHEADS_LOG_LEVEL",
        "Manyheads_Log_Level",
        "MANYHEADS_INSTANCE",
        "MANYHEADS_RING",
        "MANYHEADS_CELL",
        "MANYHEADS_DASHBOARD_TOKEN",
    ],
)
def test_our_own_settings_are_not_the_childs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "ours")
    assert name not in inherited_environment()


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "PATH", "MANYHEADS_THREADS", "MANYHEADS_TEST_MARK"])
def test_what_is_no_concern_of_ours_goes_along(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "kept")
    assert inherited_environment()[name] == "kept"


def test_a_child_reads_no_file_of_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = tmp_path / "named.toml"
    named.write_text('client_id = "of-the-file-that-is-named"')
    (tmp_path / "manyheads.toml").write_text('client_id = "of-the-folder"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MANYHEADS_CONFIG", str(named))
    found = inherited_environment()
    for each in [name for name in os.environ if name.startswith("MANYHEADS_")]:
        monkeypatch.delenv(each)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    assert load_settings(KafkaSettings).client_id == "manyheads"


def test_the_end_of_a_log_is_of_the_last_start(tmp_path: Path) -> None:
    kept = tmp_path / "encoder-worker-0.log"
    kept.write_text(json.dumps({"event": "worker_ready", "run": "the one before"}) + "\n")
    kafka = load_settings(KafkaSettings, bootstrap_servers="127.0.0.1:1")
    with LocalWorkers(kafka, folder=tmp_path) as workers:
        with pytest.raises(InternalError, match="encoder worker 0 ended with exit code 2") as caught:
            workers.start(encoder_worker(ring("en"), threads="no number"))
        assert caught.value.code is ErrorCode.WORKER_HALTED
        assert "MANYHEADS_THREADS" in caught.value.message
        assert "the one before" not in caught.value.message
        assert "the one before" not in workers.log_tail(0)
    assert "the one before" in kept.read_text()
