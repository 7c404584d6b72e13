"""The tree of errors, and the specs of topics and metrics: each thing once, and nothing forgotten."""

import copy
import pickle
import re

import pytest
from hypothesis import given

from manyheads.topics import errors as tree
from manyheads.topics import metrics
from manyheads.topics.catalogue import Partitions, ring_topics, shared_topics
from manyheads.topics.errors import SYSTEMIC_CODES, Detail, ErrorCode, InternalError, ManyheadsError, error_for
from manyheads.topics.names import cell, ring
from tests.unit.topics import strategies as ours

KINDS = ManyheadsError.__subclasses__()


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_belongs_to_one_class(code: ErrorCode) -> None:
    (kind,) = [kind for kind in KINDS if code in kind.codes]
    error = error_for(code, "what happened", {"number": 1})
    assert type(error) is kind
    assert (error.code, error.message, error.details) == (code, "what happened", {"number": 1})
    assert str(error) == f"what happened [{code}]"


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", tree.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in KINDS}
    assert all(kind.codes and not kind.__subclasses__() for kind in KINDS)


def test_a_code_of_a_later_version_is_an_internal_error() -> None:
    error = error_for("heads_on_strike", "come back later")
    assert isinstance(error, InternalError)
    assert error.details == {"unknown_code": "heads_on_strike"}


@given(ours.errors)
def test_an_error_survives_copying_and_worker_processes(error: ManyheadsError) -> None:
    for back in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(back) is type(error)
        assert (back.code, back.message, back.details) == (error.code, error.message, error.details)


def test_details_may_have_any_name() -> None:
    """They come over the wire, and a sender chooses them."""
    details: dict[str, Detail] = {"code": 1, "message": "m", "self": 2, "details": 3, "kind": 4}
    assert error_for(ErrorCode.INTERNAL, "no", details).details == details


def test_senders_mistakes_are_not_systemic() -> None:
    assert not SYSTEMIC_CODES & (tree.InvalidRequest.codes | tree.RoutingError.codes | tree.DeadlineExceeded.codes)


# --- topics ---


def test_every_input_topic_has_both_lanes_and_dead_letters_that_fit() -> None:
    specs = {spec.name: spec for spec in ring_topics(ring("en"), (cell("c0"), cell("c1")), Partitions(3, 5, 7))}
    inputs = {name for name in specs if not name.endswith("-dlt")}
    assert inputs == {
        f"nlu.en.{middle}{lane}"
        for middle in (
            "requests",
            *(f"{cell}.embeddings{kept}" for cell in ("c0", "c1") for kept in ("", ".transient")),
        )
        for lane in ("", ".batch")
    }
    assert set(specs) == inputs | {f"{name}-dlt" for name in inputs}
    for name in inputs:
        assert specs[name].partitions == (3 if "requests" in name else 5)
        largest = int(specs[name].settings["max.message.bytes"])
        # The largest record and its reason.
        assert int(specs[f"{name}-dlt"].settings["max.message.bytes"]) >= largest + 5 * 1_024


def test_transient_embeddings_leave_the_disk_and_others_are_their_operators() -> None:
    for spec in ring_topics(ring("en"), (cell("c0"),)):
        if "embeddings" not in spec.name or spec.name.endswith("-dlt"):
            continue
        if "transient" in spec.name:
            # Their retention is a promise: it is corrected when it differs, and segments end soon enough for it.
            assert int(spec.settings["segment.ms"]) * 10 <= int(spec.settings["retention.ms"]) <= 3_600_000
            assert spec.initial == {}
        else:
            assert "retention.ms" not in spec.settings
            assert spec.initial == {"retention.ms": "86400000"}


def test_the_registry_is_compacted_and_in_order() -> None:
    replies, registry, reports = shared_topics(Partitions(replies=9))
    assert (replies.name, replies.partitions) == ("nlu.replies", 9)
    assert (reports.name, reports.partitions, reports.settings["retention.ms"]) == ("nlu.telemetry", 1, "3600000")
    assert (registry.name, registry.partitions, registry.settings["cleanup.policy"]) == ("nlu.registry", 1, "compact")


# --- metrics ---


def test_metrics_follow_the_conventions() -> None:
    defined = [value for value in vars(metrics).values() if isinstance(value, metrics.MetricSpec)]
    assert set(defined) == {*metrics.ALL_METRICS, *metrics.CLIENT_METRICS}
    assert len({spec.name for spec in defined}) == len(defined)
    for spec in defined:
        assert re.fullmatch(r"manyheads_[a-z_]+", spec.name)
        assert spec.name.endswith("_total") == (spec.kind is metrics.MetricKind.COUNTER)
        assert bool(spec.buckets) == (spec.kind is metrics.MetricKind.HISTOGRAM)
        assert list(spec.buckets) == sorted(set(spec.buckets))
        assert spec.help.endswith(".")
        assert "tenant" not in spec.labels, "thousands of tenants would make thousands of series"
