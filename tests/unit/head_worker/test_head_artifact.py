"""A head's file: what it may hold, and what is said of one that holds something else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from manyheads.head_worker import Head
from manyheads.head_worker.card import METADATA_KEY, HeadCard
from manyheads.head_worker.head import TEXTS
from manyheads.head_worker.training import TrainedHead
from manyheads.topics.errors import ArtifactError, ErrorCode
from tests.unit.head_worker.school import SPACE, WIDTH, WORDS, random_embedding


def _refused(model: bytes) -> ArtifactError:
    with pytest.raises(ArtifactError) as raised:
        Head.load(model)
    assert raised.value.code is ErrorCode.ARTIFACT_CORRUPT
    return raised.value


def test_a_file_says_what_it_is(tagged_head: Head, plain_head: Head) -> None:
    card = tagged_head.card
    assert (card.space, card.view, card.width) == (SPACE, WORDS, WIDTH)
    assert card.intents == ("book", "cancel", "weather")
    assert card.tagger is not None
    assert card.tagger.labels == ("city", "day")
    assert plain_head.card.tagger is None


def test_a_head_loads_from_a_file(tagged: TrainedHead, tagged_head: Head, tmp_path: Path) -> None:
    file = tmp_path / "head.onnx"
    file.write_bytes(tagged.model)
    assert Head.load(file).card == tagged_head.card
    with pytest.raises(ArtifactError) as raised:
        Head.load(tmp_path / "none.onnx")
    assert raised.value.code is ErrorCode.ARTIFACT_MISSING


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes_are_no_head(model: bytes) -> None:
    _refused(model)


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_no_head(tagged: TrainedHead, share: float) -> None:
    _refused(tagged.model[: int(share * len(tagged.model))])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_loads_or_is_refused(tagged: TrainedHead, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(tagged.model)
    for share, byte in changes:
        damaged[int(share * len(damaged))] = byte
    codes = {ErrorCode.ARTIFACT_CORRUPT}
    try:
        Head.load(bytes(damaged))
    except ArtifactError as error:
        codes.add(error.code)
    assert codes == {ErrorCode.ARTIFACT_CORRUPT}


def _edited(model: bytes, edit: Callable[[onnx.ModelProto], None]) -> bytes:
    proto = onnx.load_from_string(model)
    edit(proto)
    changed: bytes = proto.SerializeToString()
    return changed


def _external(proto: onnx.ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"


def _subgraph(proto: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [])
    proto.graph.node.append(helper.make_node("If", ["rows"], ["x"], then_branch=branch, else_branch=branch))


def _sparse(proto: onnx.ModelProto) -> None:
    proto.graph.sparse_initializer.add()


def _hidden_external(proto: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "c")
    tensor.data_location = TensorProto.EXTERNAL
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_external, "another file"),
        (_hidden_external, "another file"),
        (_subgraph, "graph within a graph"),
        (_sparse, "sparse"),
        (lambda proto: proto.functions.add(), "functions"),
        (
            lambda proto: proto.graph.node.append(helper.make_node("Run", [], ["x"], domain="evil")),
            "operators of 'evil'",
        ),
        (lambda proto: proto.opset_import.append(helper.make_opsetid("evil", 1)), "operator sets"),
        (lambda proto: setattr(proto.opset_import[0], "version", 7), "operator sets"),
        (lambda proto: proto.ClearField("metadata_props"), "no manyheads.head"),
        (lambda proto: proto.ClearField("graph"), "0 graphs"),
        (lambda proto: setattr(proto.graph.input[0], "name", "lines"), ""),
        (lambda proto: proto.graph.output.pop(), "outputs"),
    ],
)
def test_what_a_file_may_not_hold_is_named(
    tagged: TrainedHead, edit: Callable[[onnx.ModelProto], None], says: str
) -> None:
    assert says in _refused(_edited(tagged.model, edit)).message


def test_a_name_that_is_not_utf8_is_refused(misnamed: bytes) -> None:
    assert "UnicodeDecodeError" in _refused(misnamed).message


def _one_text_whatever_is_said(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "always_one"))
    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            if name == TEXTS:
                node.input[place] = "always_one"


def test_a_head_that_mixes_texts_up_is_asked_for_one_at_a_time(tagged: TrainedHead, tagged_head: Head) -> None:
    mixing = Head.load(_edited(tagged.model, _one_text_whatever_is_said))
    embeddings = [random_embedding(np.random.default_rng(seed), 7) for seed in range(5)]
    assert dict(mixing.predict(embeddings)) == dict(enumerate(map(tagged_head.answer, embeddings)))


def _with_card(model: bytes, **changes: object) -> bytes:
    def edit(proto: onnx.ModelProto) -> None:
        (entry,) = [each for each in proto.metadata_props if each.key == METADATA_KEY]
        card = json.loads(entry.value)
        for name, value in changes.items():
            part, _, field = name.rpartition("__")
            (card[part] if part else card)[field] = value
        entry.value = json.dumps(card)

    return _edited(model, edit)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "format"),
        ({"space": "no space"}, "space"),
        ({"view": "everything"}, "view"),
        ({"view": "pooled:1"}, "nothing to tag"),
        ({"width": WIDTH + 1}, "inputs"),
        ({"intents": ["book", "cancel"]}, "outputs"),
        ({"intents": ["book", "book", "cancel"]}, "twice"),
        ({"intents": ["book", "", "cancel"]}, "intents"),
        ({"intents": ["b" * 201, "x", "cancel"]}, "intents"),
        ({"intents": [f"i{i}" for i in range(2_001)]}, "intents"),
        ({"intent_temperature": 0}, "intent_temperature"),
        ({"intent_temperature": float("nan")}, ""),
        ({"tagger": None}, "inputs"),
        ({"tagger__labels": ["city"]}, "another number"),
        ({"tagger__labels": ["city", "city"]}, "twice"),
        ({"tagger__starts": [1e9] * 5}, "starts"),
        ({"tagger__transitions": [[0.0] * 5] * 4}, "another number"),
        ({"tagger__temperature": 1e-9}, "temperature"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_card_that_does_not_fit_is_named(tagged: TrainedHead, changes: dict[str, object], says: str) -> None:
    assert says in _refused(_with_card(tagged.model, **changes)).message


def test_a_card_without_end_is_not_parsed() -> None:
    with pytest.raises(ArtifactError, match="characters, over"):
        HeadCard.from_metadata({METADATA_KEY: " " * (4 * 1024 * 1024 + 1)})


def test_a_graph_that_does_something_else_than_it_declares_is_refused(tagged: TrainedHead) -> None:
    def edit(proto: onnx.ModelProto) -> None:
        for tensor in proto.graph.initializer:
            if tensor.name == "intent.bias":
                tensor.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), tensor.name))

    assert "not finite" in _refused(_edited(tagged.model, edit)).message
