"""Tags, the best sequence, and probabilities, against enumeration of every sequence."""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyheads.head_worker.decoding import EntityDecoder
from manyheads.head_worker.tags import FORBIDDEN, OUTSIDE, Floats, TaggedSpan, TagSet
from manyheads.head_worker.training.crf import crf_gradients


@st.composite
def span_lists(draw: st.DrawFn) -> tuple[int, list[TaggedSpan], int]:
    """Labels, spans that rise and do not overlap, rows."""
    labels = draw(st.integers(1, 4))
    rows = 0
    spans = []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=5)):
        spans.append(TaggedSpan(draw(st.integers(0, labels - 1)), rows + gap, rows + gap + length))
        rows += gap + length
    return labels, spans, rows + draw(st.integers(1, 2))


@given(span_lists())
def test_spans_survive_tags(case: tuple[int, list[TaggedSpan], int]) -> None:
    labels, spans, rows = case
    tags = TagSet(labels).encode(spans, rows)
    assert list(TagSet.decode(list(tags))) == spans


@given(span_lists())
def test_the_tags_of_spans_are_allowed(case: tuple[int, list[TaggedSpan], int]) -> None:
    labels, spans, rows = case
    tags = TagSet(labels)
    path = tags.encode(spans, rows)
    assert _score(np.zeros((rows, len(tags)), np.float32), path, tags.starts(), tags.transitions()) == 0


def _score(scores: Floats, path: np.ndarray, starts: Floats, transitions: Floats) -> float:
    total = float(starts[path[0]]) + float(scores[np.arange(len(path)), path].sum(dtype=np.float64))
    return total + sum(float(transitions[a, b]) for a, b in pairwise(path))


@pytest.fixture(params=range(6))
def case(request: pytest.FixtureRequest) -> tuple[TagSet, Floats, Floats, Floats]:
    """Tags, scores, learned starts, learned transitions."""
    generator = np.random.default_rng(request.param)
    tags = TagSet(1 + request.param % 2)
    rows = 1 + request.param
    draw = [
        generator.standard_normal(shape, np.float32) * 2 for shape in ((rows, len(tags)), len(tags), (len(tags),) * 2)
    ]
    return tags, draw[0], draw[1], draw[2]


def _all_paths(tags: TagSet, rows: int) -> Iterator[np.ndarray]:
    yield from (np.array(path) for path in product(range(len(tags)), repeat=rows))


@pytest.mark.parametrize("outside", [0, 2, 4, 6])
def test_decoding_finds_the_best_sequence(case: tuple[TagSet, Floats, Floats, Floats], outside: float) -> None:
    tags, scores, starts, transitions = case
    scores[:, OUTSIDE] += outside  # from texts with many entities to texts that have none, and doubtful ones
    best = max(
        _all_paths(tags, len(scores)),
        key=lambda path: _score(scores, path, starts + tags.starts(), transitions + tags.transitions()),
    )
    (spans,) = EntityDecoder(tags, starts, transitions, 1.0).decode(scores[np.newaxis])
    assert [span for span, _ in spans] == list(TagSet.decode(list(best)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(1, 12))
def test_a_text_is_told_to_have_no_entity_only_if_the_best_sequence_has_none(
    seed: int, rows: int, outside: float
) -> None:
    generator = np.random.default_rng(seed)
    tags = TagSet(1)
    scores, starts, transitions = (generator.standard_normal(shape, np.float32) * 3 for shape in ((rows, 3), 3, (3, 3)))
    # Rows that are told by a little, each by another so that no two sequences are equal.
    scores[:, OUTSIDE] = scores.max(axis=1) + np.float32(outside) * generator.random(rows, np.float32)
    best = max(
        _all_paths(tags, rows),
        key=lambda path: _score(scores, path, starts + tags.starts(), transitions + tags.transitions()),
    )
    (spans,) = EntityDecoder(tags, starts, transitions, 1.0).decode(scores[np.newaxis])
    assert [span for span, _ in spans] == list(TagSet.decode(list(best)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_span_has_the_probability_of_all_sequences_with_it(
    case: tuple[TagSet, Floats, Floats, Floats], temperature: float
) -> None:
    tags, scores, starts, transitions = case
    total = 0.0
    with_span: dict[TaggedSpan, float] = {}
    for path in _all_paths(tags, len(scores)):
        score = _score(scores, path, starts + tags.starts(), transitions + tags.transitions())
        weight = float(np.exp(score / temperature))
        total += weight
        if weight:
            for span in TagSet.decode(list(path)):
                with_span[span] = with_span.get(span, 0.0) + weight
    (spans,) = EntityDecoder(tags, starts, transitions, temperature).decode(scores[np.newaxis])
    for span, probability in spans:
        assert probability == pytest.approx(with_span[span] / total, rel=1e-4)


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0.1, 0.2, 1.0]), st.floats(0, 50))
def test_probabilities_are_right_for_whatever_a_card_allows(
    seed: int, rows: int, temperature: float, scale: float
) -> None:
    """Up to transitions that are 1,000 temperatures apart, and scores of the graph that are further."""
    generator = np.random.default_rng(seed)
    tags = TagSet(1)
    starts, transitions = (generator.choice([-1, 0, 1], shape).astype(np.float32) * scale for shape in (3, (3, 3)))
    scores = generator.standard_normal((rows, 3), np.float32) * np.float32(generator.choice([1, scale, 300]))
    paths = list(_all_paths(tags, rows))
    logarithms = np.array(
        [_score(scores, path, starts + tags.starts(), transitions + tags.transitions()) for path in paths]
    )
    logarithms /= temperature
    whole = np.logaddexp.reduce(logarithms)
    (spans,) = EntityDecoder(tags, starts, transitions, temperature).decode(scores[np.newaxis])
    for span, probability in spans:
        with_span = [
            logarithm
            for path, logarithm in zip(paths, logarithms, strict=True)
            if np.isfinite(logarithm) and span in TagSet.decode(list(path))
        ]
        assert probability == pytest.approx(np.exp(np.logaddexp.reduce(with_span) - whole), rel=1e-6, abs=1e-12)


@given(st.lists(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=5, max_size=5), min_size=1, max_size=8))
def test_any_finite_scores_give_allowed_spans_with_probabilities(rows: list[list[float]]) -> None:
    zeros = np.zeros(5, np.float32)
    decoder = EntityDecoder(TagSet(2), zeros, np.zeros((5, 5), np.float32), 0.5)
    end = 0
    (spans,) = decoder.decode(np.array([rows], np.float32))
    for span, probability in spans:
        assert end <= span.start < span.end <= len(rows)
        assert 0.0 <= probability <= 1.0
        end = span.end


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20), st.integers(2, 12))
def test_texts_that_are_decoded_together_are_told_what_they_are_told_alone(
    seed: int, labels: int, rows: int, texts: int
) -> None:
    generator = np.random.default_rng(seed)
    tags = TagSet(labels)
    count = len(tags)
    draw = [generator.standard_normal(shape, np.float32) * 3 for shape in ((texts, rows, count), count, (count, count))]
    draw[0][::3, :, 0] += 100  # every third text has no entity
    decoder = EntityDecoder(tags, draw[1], draw[2], 1.3)
    alone = [next(iter(decoder.decode(each[np.newaxis]))) for each in draw[0]]
    assert list(decoder.decode(draw[0])) == alone
    assert not any(alone[::3])


def test_the_loss_is_the_negative_log_likelihood(case: tuple[TagSet, Floats, Floats, Floats]) -> None:
    tags, scores, starts, transitions = case
    starts, transitions = starts + tags.starts(), transitions + tags.transitions()
    gold = np.zeros(len(scores), np.int64)
    total = np.logaddexp.reduce([_score(scores, path, starts, transitions) for path in _all_paths(tags, len(scores))])
    found = crf_gradients(scores, gold, np.array([len(scores)]), transitions, starts)
    assert found.loss == pytest.approx(total - _score(scores, gold, starts, transitions), rel=1e-4, abs=1e-4)


def test_gradients_are_those_of_the_loss() -> None:
    generator = np.random.default_rng(3)
    tags = TagSet(2)
    lengths = np.array([4, 1, 3])
    scores = generator.standard_normal((8, len(tags)), np.float32)
    starts = generator.standard_normal(len(tags), np.float32) + tags.starts()
    transitions = generator.standard_normal((len(tags), len(tags)), np.float32) + tags.transitions()
    gold = np.array([0, 1, 2, 0, 3, 1, 1, 2])
    found = crf_gradients(scores, gold, lengths, transitions, starts)
    for array, gradient in ((scores, found.scores), (starts, found.starts), (transitions, found.transitions)):
        for place in np.ndindex(array.shape):
            if array[place] == FORBIDDEN:
                assert gradient[place] == 0
                continue
            before = array[place]
            losses = []
            for step in (-0.05, 0.05):
                array[place] = before + np.float32(step)
                losses.append(crf_gradients(scores, gold, lengths, transitions, starts).loss)
            array[place] = before
            assert gradient[place] == pytest.approx((losses[1] - losses[0]) / 0.1, abs=2e-3)
