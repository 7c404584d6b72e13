"""The file of settings: read after the environment, checked as a whole, and shown by ``manyheads config``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from manyheads.cli.app import app
from manyheads.cli.config import components
from manyheads.encoder_worker.settings import EncoderWorkerSettings
from manyheads.infra.dashboard.settings import DashboardSettings
from manyheads.infra.lag.settings import LagSettings
from manyheads.infra.settings import ENV_PREFIX, KafkaSettings, Settings, load_settings
from manyheads.infra.settings.names import SETTINGS
from manyheads.topics.errors import InvalidSettings

SECRET = "correct horse battery"
Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*SETTINGS, "config"):
        monkeypatch.delenv(f"{ENV_PREFIX}{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "manyheads.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_code_wins_over_the_environment_over_the_file_over_the_default(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(KafkaSettings).client_id == "manyheads"
    write('client_id = "file"\nbootstrap_servers = "file:1"\nlag_interval_s = 0.5')
    monkeypatch.setenv("MANYHEADS_CLIENT_ID", "environment")
    settings = load_settings(KafkaSettings)
    assert (settings.bootstrap_servers, settings.client_id) == ("file:1", "environment")
    assert load_settings(KafkaSettings, client_id="code").client_id == "code"
    assert load_settings(LagSettings).lag_interval_s == 0.5
    monkeypatch.setenv("MANYHEADS_CLIENT_ID", "")  # as a compose file leaves it: not set
    assert load_settings(KafkaSettings).client_id == "file"


def test_the_variable_names_another_file(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write('client_id = "not-this"')
    other = tmp_path / "elsewhere.toml"
    other.write_text('client_id = "this"\nring = "fr"')
    monkeypatch.setenv("MANYHEADS_CONFIG", str(other))
    assert load_settings(KafkaSettings).client_id == "this"
    assert load_settings(EncoderWorkerSettings).ring == "fr"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('bootstrap_server = "a:1"\nsasl_pasword = "hunter2"', "bootstrap_server, sasl_pasword: no such setting"),
        ('[kafka]\nclient_id = "a"', "kafka: no such setting"),
        ("client_id = ", "no TOML"),
        ("client_id = 5", "manyheads.toml: client_id='5' is wrong: it takes the name that broker logs"),
        ('dashboard_token = "hunter2"', "manyheads.toml: dashboard_token is wrong"),
        ('security_protocol = "SASL_SSL"', "MANYHEADS_SASL_USERNAME is not set"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_and_secrets_are_not_shown(write: Write, text: str, says: str) -> None:
    write(text)
    with pytest.raises(InvalidSettings) as raised:
        load_settings(DashboardSettings if "dashboard" in text else KafkaSettings)
    assert says in raised.value.message
    assert "hunter2" not in raised.value.message


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYHEADS_CONFIG", "nowhere.toml")
    with pytest.raises(InvalidSettings, match=r"MANYHEADS_CONFIG='nowhere.toml' is wrong: there is no such file"):
        load_settings(KafkaSettings)
    monkeypatch.setenv("MANYHEADS_CONFIG", str(tmp_path))
    with pytest.raises(InvalidSettings, match="cannot be read"):
        load_settings(KafkaSettings)


def test_a_file_that_is_no_text_is_said_to_be(write: Write) -> None:
    write("").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match="no UTF-8"):
        load_settings(KafkaSettings)


def test_every_setting_of_every_component_may_stand_in_the_file() -> None:
    def subclasses(cls: type[Settings]) -> set[type[Settings]]:
        direct = {each for each in cls.__subclasses__() if each.__module__.startswith("manyheads.")}
        return direct.union(*map(subclasses, direct))

    shown = {name for cls in components().values() for name in cls.model_fields}
    assert {name for cls in subclasses(Settings) for name in cls.model_fields} == shown == SETTINGS


def shown(*arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["config", *arguments])
    return result.exit_code, result.stdout


def test_the_command_shows_where_each_value_comes_from(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f'security_protocol = "SASL_SSL"\nsasl_username = "nlu"\nsasl_password = "{SECRET}"')
    monkeypatch.setenv("MANYHEADS_BOOTSTRAP_SERVERS", "a:1")
    code, out = shown("--json")
    assert code == 0
    assert SECRET not in out
    found = json.loads(out)
    kafka = {each["setting"]: each for each in found["settings"] if each["component"] == "kafka"}
    assert {name: (each["value"], each["origin"]) for name, each in kafka.items() if each["value"] is not None} == {
        "bootstrap_servers": ("a:1", "environment"),
        "client_id": ("manyheads", "default"),
        "security_protocol": ("SASL_SSL", "file"),
        "sasl_mechanism": ("SCRAM-SHA-512", "default"),
        "sasl_username": ("nlu", "file"),
        "sasl_password": ("**********", "file"),
    }
    assert {each["setting"] for each in found["settings"]} == SETTINGS
    assert (found["file"], found["problems"]) == ("manyheads.toml", [])
    code, out = shown()
    assert code == 0
    assert SECRET not in out
    assert "MANYHEADS_BOOTSTRAP_SERVERS" in out
    assert "unset, required" in out  # the workers' ring: nobody means to run one here


def test_the_command_says_what_is_wrong_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_SASL_PASSWORD", SECRET)
    code, out = shown("--json")
    assert code == 1
    assert SECRET not in out
    (problem,) = json.loads(out)["problems"]
    assert "MANYHEADS_SASL_PASSWORD is set, but" in problem
