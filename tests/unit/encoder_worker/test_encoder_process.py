"""The worker's process: what it says when it is asked or cannot start."""

import json

import pytest

from manyheads.encoder_worker.__main__ import PROGRAM
from manyheads.encoder_worker.devices import Device
from manyheads.encoder_worker.settings import EncoderWorkerSettings
from manyheads.encoder_worker.worker import lane_inputs
from manyheads.infra.settings import load_settings, variable
from manyheads.topics.errors import InvalidSettings
from manyheads.topics.names import Lane, ring

pytestmark = pytest.mark.usefixtures("root_logger_as_it_was", "no_settings")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_variable_with_an_example(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main([flag]) == 0
    shown = capsys.readouterr().out
    for name in [*EncoderWorkerSettings.model_fields, "store_url", "bootstrap_servers", "sasl_password"]:
        assert variable(name) in shown
    assert "MANYHEADS_RING=en" in shown


def test_other_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["--ring", "en"]) == 2
    assert "--help" in capsys.readouterr().err


def test_a_missing_setting_ends_it_with_2_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "encoder_worker_failed"
    assert logged["error"]["code"] == "invalid_settings"
    assert "MANYHEADS_RING" in logged["error"]["message"]


@pytest.mark.parametrize(
    ("name", "value"), [("ring", "No Ring"), ("device", "tpu"), ("threads", "0"), ("metrics_port", "70000")]
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(variable("ring"), "en")
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(InvalidSettings, match=variable(name)):
        load_settings(EncoderWorkerSettings)


def test_the_environment_sets_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("ring"), "fr")
    monkeypatch.setenv(variable("device"), "cpu")
    settings = load_settings(EncoderWorkerSettings)
    assert (settings.ring, settings.device, settings.threads) == ("fr", Device.CPU, 1)


def test_it_reads_both_lanes_of_its_own_ring() -> None:
    assert [(each.lane, each.topic, each.group) for each in lane_inputs(ring("fr"))] == [
        (Lane.INTERACTIVE, "nlu.fr.requests", "nlu.fr.encoder"),
        (Lane.BATCH, "nlu.fr.requests.batch", "nlu.fr.encoder.batch"),
    ]
