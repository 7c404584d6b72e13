"""The worker's process: what it says when it is asked or cannot start."""

import json

import pytest

from manyheads.head_worker.__main__ import PROGRAM
from manyheads.head_worker.settings import HeadWorkerSettings
from manyheads.head_worker.worker import lane_inputs
from manyheads.infra.settings import load_settings, variable
from manyheads.topics.errors import InvalidSettings
from manyheads.topics.names import Lane, cell, ring

pytestmark = pytest.mark.usefixtures("root_logger_as_it_was", "no_settings")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_variable_with_an_example(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main([flag]) == 0
    shown = capsys.readouterr().out
    for name in [*HeadWorkerSettings.model_fields, "store_url", "bootstrap_servers", "sasl_password"]:
        assert variable(name) in shown
    assert "MANYHEADS_RING=en MANYHEADS_CELL=c0" in shown


def test_other_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["en"]) == 2
    assert "--help" in capsys.readouterr().err


def test_a_missing_setting_is_named_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    failure = json.loads(line)
    assert failure["event"] == "head_worker_failed"
    assert failure["error"]["code"] == "invalid_settings"
    assert "MANYHEADS_RING is not set" in failure["error"]["message"]
    assert "MANYHEADS_CELL is not set" in failure["error"]["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("ring", "EN"), ("cell", "c 0"), ("grace_s", "-1"), ("max_take", "0"), ("metrics_port", "70000")],
)
def test_a_wrong_setting_names_its_variable(name: str, value: str) -> None:
    given = {"ring": "en", "cell": "c0"} | {name: value}
    with pytest.raises(InvalidSettings, match=variable(name)):
        load_settings(HeadWorkerSettings, **given)


def test_it_reads_both_lanes_of_its_cell_retained_and_transient() -> None:
    assert [(each.lane, each.topic, each.group) for each in lane_inputs(ring("en"), cell("c1"))] == [
        (Lane.INTERACTIVE, "nlu.en.c1.embeddings", "nlu.en.c1.head"),
        (Lane.INTERACTIVE, "nlu.en.c1.embeddings.transient", "nlu.en.c1.head.transient"),
        (Lane.BATCH, "nlu.en.c1.embeddings.batch", "nlu.en.c1.head.batch"),
        (Lane.BATCH, "nlu.en.c1.embeddings.transient.batch", "nlu.en.c1.head.transient.batch"),
    ]
