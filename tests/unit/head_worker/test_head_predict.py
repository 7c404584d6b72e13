"""A loaded head's answers: to good embeddings, to bad ones, and whoever else is asking."""

import json

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manyheads.head_worker import Head, HeadOutput
from manyheads.head_worker.building import ARTICLE_VIEW, Arithmetic, article_head
from manyheads.head_worker.card import METADATA_KEY
from manyheads.head_worker.tags import Floats
from manyheads.head_worker.training import TrainedHead, TrainingOptions, fit_head
from manyheads.topics.arrays import to_array
from manyheads.topics.errors import ArtifactError, ErrorCode, InternalError, ManyheadsError, WireError
from manyheads.topics.messages import Embedding
from manyheads.topics.names import space
from manyheads.topics.spans import pack_spans
from manyheads.topics.tensor import Precision, Tensor
from manyheads.topics.views import View
from tests.unit.head_worker.school import POOLED, WIDTH, WORDS, embedding, lessons, of_rows, random_embedding

Feeds = dict[str, npt.NDArray[np.generic]]


def test_an_answer_names_the_entities_of_the_text(tagged_head: Head) -> None:
    text = "please book me a flight to Cape Town on monday"
    output = tagged_head.answer(embedding(text))
    assert output.intents[0].name == "book"
    assert [(entity.label, text[entity.start : entity.end]) for entity in output.entities] == [
        ("city", "Cape Town"),
        ("day", "monday"),
    ]
    assert all(entity.confidence > 0.5 for entity in output.entities)


def test_intents_come_with_falling_confidences(tagged_head: Head) -> None:
    intents = tagged_head.answer(embedding("cancel my trip of today")).intents
    assert len(intents) == 3
    confidences = [intent.confidence for intent in intents]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("precision", list(Precision))
def test_every_precision_of_the_wire_is_read(tagged_head: Head, precision: Precision) -> None:
    assert (
        tagged_head.answer(embedding("will it rain in Lima today?", precision=precision)).intents[0].name == "weather"
    )


def _wire(message: Embedding) -> Embedding:
    return Embedding.from_bytes(message.to_bytes())


_SENTENCES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 40)), min_size=1, max_size=6)


@settings(max_examples=30)
@given(_SENTENCES, st.randoms())
def test_an_answer_does_not_depend_on_who_else_asks(
    tagged_head: Head, sentences: list[tuple[int, int]], order: "st.DrawFn"
) -> None:
    embeddings = [_wire(random_embedding(np.random.default_rng(seed), rows)) for seed, rows in sentences]
    # An outlier that would stretch the scale of anything that it shared one with.
    embeddings.append(of_rows(np.full((2, WIDTH), 1e6, np.float32), ((0, 1), (2, 3)), bytes(2)))
    alone = [tagged_head.answer(each) for each in embeddings]
    places = list(range(len(embeddings)))
    order.shuffle(places)  # type: ignore[attr-defined]
    together = dict(tagged_head.predict([embeddings[place] for place in places]))
    assert [together[places.index(place)] for place in range(len(embeddings))] == alone


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0.01, 1e6))
def test_entities_rise_within_the_text_and_never_overlap(tagged_head: Head, seed: int, rows: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    array = generator.standard_normal((rows, WIDTH), np.float32) * np.float32(scale)
    ends = np.cumsum(generator.integers(1, 9, 2 * rows))
    spans = tuple((int(start), int(end)) for start, end in ends.reshape(-1, 2))
    output = tagged_head.answer(of_rows(array, spans, bytes(generator.integers(0, 256, rows, np.uint8))))
    starts, stops = {start for start, _ in spans}, {end for _, end in spans}
    end = 0
    for entity in output.entities:
        assert end <= entity.start < entity.end <= spans[-1][1]
        assert entity.start in starts
        assert entity.end in stops
        assert entity.label in ("city", "day")
        end = entity.end


def _tensor(shape: tuple[int, ...], scale: float, precision: Precision = Precision.INT8) -> Tensor:
    rows = shape[0]
    if precision is Precision.INT8:
        return Tensor(precision, shape, bytes([127]) * (rows * shape[1]), np.full(rows, scale, "<f4").tobytes())
    return Tensor(precision, shape, np.full(shape, scale, "<f4").tobytes())


_GOOD = embedding("to Oslo today")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"space": space("another")}, ErrorCode.SPACE_MISMATCH),
        ({"view": View.parse("words:1,2")}, ErrorCode.SPACE_MISMATCH),
        ({"view": POOLED}, ErrorCode.SPACE_MISMATCH),
        ({"tensor": _tensor((3, WIDTH + 1), 1.0)}, ErrorCode.MALFORMED_MESSAGE),
        ({"tensor": _tensor((0, WIDTH), 1.0)}, ErrorCode.MALFORMED_MESSAGE),
        ({"tensor": _tensor((251, WIDTH), 1.0)}, ErrorCode.MALFORMED_MESSAGE),
        ({"tensor": _tensor((3, WIDTH), float("nan"))}, ErrorCode.MALFORMED_MESSAGE),
        ({"tensor": _tensor((3, WIDTH), 3e38)}, ErrorCode.MALFORMED_MESSAGE),
        ({"tensor": _tensor((3, WIDTH), float("inf"), Precision.FLOAT32)}, ErrorCode.MALFORMED_MESSAGE),
        ({"tensor": _tensor((3, WIDTH), 3e38, Precision.FLOAT32)}, ErrorCode.MALFORMED_MESSAGE),
        ({"shapes": b"\0"}, ErrorCode.MALFORMED_MESSAGE),
        ({"spans": b"", "shapes": b""}, ErrorCode.MALFORMED_MESSAGE),
        ({"spans": b""}, ErrorCode.MALFORMED_MESSAGE),
        ({"spans": pack_spans([(0, 2)])}, ErrorCode.MALFORMED_MESSAGE),
        ({"spans": b"\xff\xff\xff\xff\xff"}, ErrorCode.MALFORMED_MESSAGE),
    ],
)
def test_an_embedding_that_the_head_cannot_read_gets_its_error(
    tagged_head: Head, changes: dict[str, object], code: ErrorCode
) -> None:
    bad = _GOOD.model_copy(update=changes)
    outcomes = dict(tagged_head.predict([_GOOD, bad, _GOOD]))
    failed = outcomes.pop(1)
    assert isinstance(failed, ManyheadsError)
    assert failed.code is code
    # Its neighbours are not harmed.
    assert outcomes == {0: tagged_head.answer(_GOOD), 2: tagged_head.answer(_GOOD)}


def test_a_pooled_embedding_has_one_row(plain_head: Head) -> None:
    two = of_rows(np.ones((2, WIDTH), np.float32), view=POOLED)
    with pytest.raises(WireError, match="2 rows"):
        plain_head.answer(two)


def test_shape_flags_of_a_later_encoder_are_ignored(tagged_head: Head) -> None:
    later = _GOOD.model_copy(update={"shapes": bytes(shape | 0xE0 for shape in _GOOD.shapes)})
    assert tagged_head.answer(later) == tagged_head.answer(_GOOD)


@settings(max_examples=60)
@example(8)
@example(46)
@given(st.integers(0, 2**32 - 1))
def test_any_card_within_its_limits_gives_probabilities(tagged: TrainedHead, seed: int) -> None:
    generator = np.random.default_rng(seed)
    proto = onnx.load_from_string(tagged.model)
    (entry,) = [each for each in proto.metadata_props if each.key == METADATA_KEY]
    card = json.loads(entry.value)
    card["tagger"]["temperature"] = 0.1
    card["tagger"]["starts"] = generator.choice([-50.0, 0.0, 50.0], 5).tolist()
    card["tagger"]["transitions"] = generator.choice([-50.0, 0.0, 50.0], (5, 5)).tolist()
    entry.value = json.dumps(card)
    head = Head.load(proto.SerializeToString())
    texts = ("book me a flight to Oslo on monday", "how warm is it in New Delhi", "cancel my trip of today")
    embeddings = list(map(embedding, texts))
    together = dict(head.predict(embeddings))
    assert together == dict(enumerate(map(head.answer, embeddings)))
    for output in together.values():
        assert isinstance(output, HeadOutput)
        assert all(0.0 <= entity.confidence <= 1.0 for entity in output.entities)


def test_rows_without_characters_name_nothing(tagged_head: Head) -> None:
    empty = _GOOD.model_copy(update={"spans": pack_spans([(0, 0)] * 3)})
    assert tagged_head.answer(_GOOD).entities
    assert tagged_head.answer(empty).entities == ()


def test_a_head_knows_what_it_reads(tagged_head: Head) -> None:
    assert tagged_head.reads(space("made-up"), WORDS)
    assert not tagged_head.reads(space("made-up"), POOLED)
    with pytest.raises(ArtifactError, match="activate a head of this space"):
        tagged_head.answer(embedding("hello", POOLED))


def test_the_article_head_has_nine_million_parameters_in_int8() -> None:
    model = article_head(1, space("random"))
    assert 8.8e6 < len(model) < 9.5e6
    assert model == article_head(1, space("random"))
    assert model != article_head(2, space("random"))
    head = Head.load(model)
    output = head.answer(
        random_embedding(np.random.default_rng(0), 15, 768, ARTICLE_VIEW).model_copy(update={"space": space("random")})
    )
    assert isinstance(output, HeadOutput)
    assert len(output.intents) == 3


@pytest.mark.parametrize("rows", [1, 2, 15, 33, 160])
def test_texts_of_as_many_rows_share_a_run_and_are_told_what_they_are_told_alone(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Head.load(article_head(1, space("random")))
    embeddings = [
        random_embedding(np.random.default_rng(seed), rows, 768, ARTICLE_VIEW).model_copy(
            update={"space": space("random")}
        )
        for seed in range(9)
    ]
    alone = dict(enumerate(map(head.answer, embeddings)))
    runs: list[int] = []

    def run(feeds: Feeds) -> list[Floats]:
        runs.append(len(feeds["rows"]) // rows)
        return real_run(feeds)

    real_run = head._run
    monkeypatch.setattr(head, "_run", run)
    assert dict(head.predict(embeddings)) == alone
    assert sum(runs) == 9
    assert len(runs) == -(-9 // max(1, 160 // rows))


def test_a_head_in_float32_reads_one_text_a_run() -> None:
    head = Head.load(fit_head(lessons(140), TrainingOptions(arithmetic=Arithmetic.FLOAT32)).model)
    embeddings = [random_embedding(np.random.default_rng(seed), 7) for seed in range(5)]
    assert dict(head.predict(embeddings)) == dict(enumerate(map(head.answer, embeddings)))


def test_where_a_run_fails_only_the_text_that_it_fails_on_has_an_error(
    tagged_head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = [random_embedding(np.random.default_rng(seed), 7) for seed in range(5)]
    alone = dict(enumerate(map(tagged_head.answer, embeddings)))
    poison = to_array(embeddings[3].tensor)

    def run(feeds: Feeds) -> list[Floats]:
        if any(np.array_equal(rows, poison) for rows in feeds["rows"].reshape(-1, 7, WIDTH)):
            raise InternalError(ErrorCode.INTERNAL, "the graph failed")
        return real_run(feeds)

    real_run = tagged_head._run
    monkeypatch.setattr(tagged_head, "_run", run)
    outcomes = dict(tagged_head.predict(embeddings))
    assert isinstance(outcomes.pop(3), InternalError)
    assert outcomes == {index: output for index, output in alone.items() if index != 3}


def test_a_graph_whose_outputs_take_another_shape_fails_its_own_texts_alone(
    tagged_head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = [random_embedding(np.random.default_rng(seed), rows) for seed, rows in enumerate((7, 3, 7))]
    alone = tagged_head.answer(embeddings[1])

    def run(feeds: Feeds) -> list[Floats]:
        intents, tags = real_run(feeds)
        return [intents, tags if len(tags) == 3 else tags[1:]]

    real_run = tagged_head._run
    monkeypatch.setattr(tagged_head, "_run", run)
    outcomes = dict(tagged_head.predict(embeddings))
    assert outcomes[1] == alone
    for index in (0, 2):
        error = outcomes[index]
        assert isinstance(error, InternalError)
        assert "train" in error.message


def test_the_article_head_reads_any_width() -> None:
    head = Head.load(article_head(1, space("random"), View.parse("words:1"), WIDTH))
    embedded = random_embedding(np.random.default_rng(0), 7).model_copy(update={"space": space("random")})
    assert head.answer(embedded) == head.answer(embedded)
