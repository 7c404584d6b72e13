"""The model around the network: views, errors of single items, faults of a run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from manyheads.encoder_worker import EncoderModel, EncoderOptions, TextItem
from manyheads.encoder_worker.backend import Backend, Floats
from manyheads.encoder_worker.build import EncoderBuild
from manyheads.encoder_worker.devices import Device
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.encoder_worker.rows import Encoded
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.topics.arrays import to_array
from manyheads.topics.errors import ArtifactError, ErrorCode, InternalError, InvalidSettings, ManyheadsError
from manyheads.topics.messages import Embedding, Truncation
from manyheads.topics.names import ring
from manyheads.topics.spans import Shape
from manyheads.topics.tensor import Precision
from manyheads.topics.views import View

POOLED, WORDS, TOKENS = (View.parse(f"{rows}:1,2,3") for rows in ("pooled", "words", "tokens"))


def _embed(
    model: EncoderModel, texts: Sequence[str], view: View, precision: Precision = Precision.FLOAT32
) -> list[Embedding]:
    found = dict(model.embed(texts, view, precision))
    assert sorted(found) == list(range(len(texts)))
    return [_embedding(found[i]) for i in range(len(texts))]


def _embedding(outcome: Embedding | ManyheadsError) -> Embedding:
    assert isinstance(outcome, Embedding), outcome
    return outcome


def test_the_views_are_rows_of_the_same_hidden_states(small_model: EncoderModel) -> None:
    text = "Rescheduling 40 gigabytes!"
    (tokens,), (words,), (pooled,) = (_embed(small_model, [text], view) for view in (TOKENS, WORDS, POOLED))
    states = to_array(tokens.tensor)
    assert states.shape == (len(tokens.row_spans()), 3 * 48)
    assert [text[a:b] for a, b in words.row_spans()] == ["Rescheduling", "40", "gigabytes", "!"]
    first_pieces = [
        tokens.row_spans().index(next(s for s in tokens.row_spans() if s[0] == a)) for a, _ in words.row_spans()
    ]
    np.testing.assert_array_equal(to_array(words.tensor), states[first_pieces])
    np.testing.assert_allclose(to_array(pooled.tensor)[0], states.mean(axis=0), atol=1e-6)
    assert pooled.row_spans() == ()


def test_a_view_of_one_layer_is_a_part_of_that_of_several(small_model: EncoderModel) -> None:
    (one,) = _embed(small_model, ["move 40 euros"], View.parse("tokens:3"))
    (three,) = _embed(small_model, ["move 40 euros"], TOKENS)
    np.testing.assert_array_equal(to_array(one.tensor), to_array(three.tensor)[:, 96:])


def test_int8_on_the_wire_is_within_half_a_step_of_float32(small_model: EncoderModel) -> None:
    texts = ["move 40 euros", "hello"]
    pairs = zip(_embed(small_model, texts, WORDS), _embed(small_model, texts, WORDS, Precision.INT8), strict=True)
    for exact, coarse in pairs:
        rows = to_array(exact.tensor)
        assert (np.abs(rows - to_array(coarse.tensor)) <= np.abs(rows).max(axis=1, keepdims=True) / 253).all()


def test_what_travels_names_its_makers_and_its_words(small_model: EncoderModel) -> None:
    (embedding,) = _embed(small_model, ["Call IBM in 2026!"], WORDS)
    assert Embedding.from_bytes(embedding.to_bytes()) == embedding
    assert (embedding.encoder, embedding.space) == (small_model.record.version, "random-3x48")
    assert list(embedding.shapes) == [
        Shape.CAPITALISED,
        Shape.CAPITALISED | Shape.UPPER,
        Shape.NONE,
        Shape.DIGIT,
        Shape.PUNCTUATION | Shape.JOINED,
    ]


def test_a_long_text_is_cut_and_says_so(small_model: EncoderModel) -> None:
    (embedding,) = _embed(small_model, ["go " * 400], TOKENS)
    assert embedding.truncation == Truncation(tokens=402, kept=250)
    assert embedding.tensor.shape[0] == 248
    assert embedding.row_spans()[-1] == (247 * 3, 247 * 3 + 2)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("", ErrorCode.TEXT_EMPTY),
        (" \n", ErrorCode.TEXT_EMPTY),
        ("\u200b", ErrorCode.TEXT_EMPTY),
        ("x" * 9_000, ErrorCode.TEXT_TOO_LONG),
        ("a\ud800b", ErrorCode.TEXT_NOT_UNICODE),
        ("a\x00b", ErrorCode.TEXT_CONTROL_CHARACTER),
    ],
)
def test_a_bad_text_is_its_own_error_and_nobody_elses(small_model: EncoderModel, bad: str, code: ErrorCode) -> None:
    found = dict(small_model.embed(["before", bad, "behind"], POOLED))
    error = found[1]
    assert isinstance(error, ManyheadsError)
    assert error.code is code
    assert [found[0], found[2]] == _embed(small_model, ["before", "behind"], POOLED, Precision.INT8)


def test_a_view_that_is_not_offered_is_an_error_that_lists_those_that_are(small_model: EncoderModel) -> None:
    (outcome,) = (outcome for _, outcome in small_model.embed(["hello"], View.parse("words:2")))
    assert isinstance(outcome, ArtifactError)
    assert outcome.code is ErrorCode.SPACE_MISMATCH
    assert "words:1,2,3" in outcome.message


class _FailsOn:
    """A real backend that fails whenever a token is in the run: a defect that one text triggers."""

    def __init__(self, backend: Backend, token: int, fault: Exception | float) -> None:
        self._backend = backend
        self._token = token
        self._fault = fault
        self.runs: list[int] = []

    @property
    def tokens_per_run(self) -> int:
        return self._backend.tokens_per_run

    def run(self, texts: Sequence[Sequence[int]], layers: Sequence[int]) -> Mapping[int, Floats]:
        self.runs.append(len(texts))
        if not any(self._token in text for text in texts):
            return self._backend.run(texts, layers)
        if isinstance(self._fault, Exception):
            raise self._fault
        states = self._backend.run(texts, layers)
        flat = [token for text in texts for token in text]
        for layer in layers:
            states[layer][flat.index(self._token)] = self._fault
        return states


@pytest.mark.parametrize("fault", [RuntimeError("no such kernel"), float("nan"), float("inf")])
def test_a_text_that_breaks_its_run_breaks_nothing_else(
    small_build: EncoderBuild, small_model: EncoderModel, tokenizer: TextTokenizer, fault: Exception | float
) -> None:
    culprit = tokenizer.tokenise("savings").ids[1]
    backend = _FailsOn(OnnxBackend(small_build.files["model.onnx"]), culprit, fault)
    model = EncoderModel(small_model.record, tokenizer, backend)
    texts = ["move 40 euros", "my savings", "hello", "is it on time?"]
    found = dict(model.embed(texts, POOLED))
    error = found.pop(1)
    assert isinstance(error, InternalError)
    assert error.code is ErrorCode.INTERNAL
    assert "savings" not in str(error)
    assert [found[i] for i in (0, 2, 3)] == _embed(small_model, [texts[0], *texts[2:]], POOLED, Precision.INT8)
    assert backend.runs == ([4, 1, 1, 1, 1] if isinstance(fault, Exception) else [4])


def test_each_run_says_its_tokens_and_gives_its_results_at_once(small_build: EncoderBuild) -> None:
    model = EncoderModel.load(small_build.record(ring("en")), small_build.files, EncoderOptions(tokens_per_run=8))
    runs = model.encode([TextItem(text, POOLED) for text in ("go go go go go", "", "go", "go go", "no")])
    shape = [(run.tokens, [index for index, _ in run.outcomes]) for run in runs]
    assert shape == [(0, [1]), (6, [2, 4]), (4, [3]), (7, [0])]


def test_a_stream_of_texts_is_taken_as_it_is_needed(small_model: EncoderModel) -> None:
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for taken in range(1, 3001):
            yield "go " * (taken % 3 + 1)

    results = small_model.embed(texts(), POOLED)
    first = next(results)
    assert taken < 3000
    assert sorted([first[0], *(index for index, _ in results)]) == list(range(3000))
    assert list(small_model.embed(iter(()), POOLED)) == []


def test_nothing_in_nothing_out(small_model: EncoderModel) -> None:
    assert list(small_model.encode([])) == []


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(small_build: EncoderBuild, missing: str) -> None:
    files = {name: file for name, file in small_build.files.items() if name != missing}
    with pytest.raises(ArtifactError, match=missing) as caught:
        EncoderModel.load(small_build.record(ring("en")), files, EncoderOptions(Device.CPU))
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING


def test_a_damaged_graph_is_corrupt(small_build: EncoderBuild, tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(small_build.files["model.onnx"].read_bytes()[:5000])
    with pytest.raises(ArtifactError) as caught:
        EncoderModel.load(small_build.record(ring("en")), {**small_build.files, "model.onnx": damaged})
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT


def test_cuda_that_is_not_there_is_a_wrong_setting(small_build: EncoderBuild) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InvalidSettings, match="MANYHEADS_DEVICE"):
        EncoderModel.load(small_build.record(ring("en")), small_build.files, EncoderOptions(Device.CUDA))


def test_outcomes_are_what_travels(small_model: EncoderModel) -> None:
    (run,) = small_model.encode([TextItem("hello there", WORDS, Precision.FLOAT16)])
    ((index, outcome),) = run.outcomes
    assert index == 0
    assert isinstance(outcome, Encoded)
    assert outcome.tensor.precision is Precision.FLOAT16


def test_a_text_that_several_read_is_computed_once(small_model: EncoderModel) -> None:
    texts = ["move 40 euros", "hello", "move 40 euros", "move 40 euros"]
    items = [TextItem(text, view) for text, view in zip(texts, (POOLED, WORDS, WORDS, POOLED), strict=True)]
    runs = list(small_model.encode(items))
    alone = [next(iter(small_model.encode([item]))) for item in items]
    assert sum(run.tokens for run in runs) == alone[0].tokens + alone[1].tokens
    found = {index: outcome for run in runs for index, outcome in run.outcomes}
    assert found == {index: run.outcomes[0][1] for index, run in enumerate(alone)}
