"""Promise 5: a text's embedding is the same, bit by bit, whatever it shares a batch with."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyheads.encoder_worker import EncoderModel, EncoderOptions, TextItem
from manyheads.encoder_worker.build import EncoderBuild
from manyheads.encoder_worker.rows import Encoded
from manyheads.topics.names import ring
from manyheads.topics.tensor import Precision
from manyheads.topics.views import View

_WORDS = st.sampled_from(
    [
        "move",
        "40",
        "euros",
        "to",
        "my",
        "savings",
        "flight",
        "?",
        "!",
        "reschedule",
        "é",
        "東",
        "😀",
        "zzzzqqq",
        "#4418-B",
    ]
)
_ODD = st.sampled_from(["a", "!" * 300, "😀 " * 40, "q" * 101, "Ω≈ç√∫ " * 30])
_TEXTS = _ODD | st.builds(
    lambda words, count: " ".join((words * count)[:count]),
    st.lists(_WORDS, min_size=1, max_size=12),
    st.integers(1, 20) | st.integers(1, 260),
)
_BATCHES = st.lists(_TEXTS, min_size=2, max_size=9)


def _encode(model: EncoderModel, texts: Sequence[str], view: View) -> dict[int, Encoded]:
    found: dict[int, Encoded] = {}
    for run in model.encode([TextItem(text, view, Precision.FLOAT32) for text in texts]):
        for index, outcome in run.outcomes:
            assert isinstance(outcome, Encoded)
            found[index] = outcome
    assert len(found) == len(texts)
    return found


def _assert_the_same_alone(model: EncoderModel, texts: Sequence[str], layers: str) -> None:
    # float32 rows of every token: nothing rounds a difference away.
    view = View.parse(f"tokens:{layers}")
    for index, together in _encode(model, texts, view).items():
        assert _encode(model, [texts[index]], view)[0] == together, texts[index]


@settings(max_examples=150)
@given(texts=_BATCHES)
def test_a_text_is_the_same_alone_and_in_any_batch(small_model: EncoderModel, texts: list[str]) -> None:
    _assert_the_same_alone(small_model, texts, "1,2,3")


@settings(max_examples=40)
@given(texts=_BATCHES)
def test_so_it_is_in_the_real_encoder(minilm_model: EncoderModel, texts: list[str]) -> None:
    _assert_the_same_alone(minilm_model, texts, "3,4,5,6")


@settings(max_examples=10)
@given(texts=_BATCHES)
def test_and_in_float32(minilm_float32: EncoderModel, texts: list[str]) -> None:
    _assert_the_same_alone(minilm_float32, texts, "3,4,5,6")


def test_at_every_length_beside_the_longest(minilm_model: EncoderModel) -> None:
    view = View.parse("pooled:3,4,5,6")
    longest = "go " * 248
    for words in (1, 2, 3, 5, 7, 8, 13, 14, 15, 16, 29, 30, 31, 47, 62, 63, 64, 100, 125, 126, 127, 200, 246, 247):
        text = "go " * words
        model = EncoderModel(minilm_model.record, minilm_model._tokenizer, minilm_model._backend, 4096)
        together = _encode(model, [text, longest, text], view)
        alone = _encode(model, [text], view)[0]
        assert together[0] == together[2] == alone, words


@pytest.mark.parametrize("options", [EncoderOptions(threads=2), EncoderOptions(tokens_per_run=1)])
def test_what_is_computed_does_not_depend_on_the_options(
    minilm_build: EncoderBuild, minilm_model: EncoderModel, options: EncoderOptions
) -> None:
    texts = ["move 40 euros", "a", "is flight 12 on time? " * 12, "hello there", "go " * 300]
    other = EncoderModel.load(minilm_build.record(ring("en")), minilm_build.files, options)
    view = View.parse("words:3,4,5,6")
    assert _encode(other, texts, view) == _encode(minilm_model, texts, view)


@settings(max_examples=25)
@given(texts=_BATCHES)
def test_views_and_precisions_in_one_batch_do_not_touch_each_other(small_model: EncoderModel, texts: list[str]) -> None:
    views = small_model.record.views
    items = [TextItem(text, views[i % len(views)], list(Precision)[i % len(Precision)]) for i, text in enumerate(texts)]
    together = {index: outcome for run in small_model.encode(items) for index, outcome in run.outcomes}
    for index, item in enumerate(items):
        (run,) = small_model.encode([item])
        assert run.outcomes[0][1] == together[index]
