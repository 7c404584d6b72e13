"""The pieces that networks are trained with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.head_worker.training.calibration import (
    expected_calibration_error,
    fit_span_temperature,
    fit_temperature,
    softmax,
)
from manyheads.head_worker.training.layers import Dropout, Standardiser, Window
from manyheads.head_worker.training.optimiser import Adam


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.sampled_from([1, 3, 5]))
def test_a_window_never_sees_another_text(lengths: list[int], neighbours: int) -> None:
    generator = np.random.default_rng(0)
    texts = [generator.standard_normal((length, 2)).astype(np.float32) for length in lengths]
    together = Window(np.array(lengths), neighbours).gather(np.concatenate(texts))
    alone = [Window(np.array([len(text)]), neighbours).gather(text) for text in texts]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_array_equal(together[:, (neighbours // 2) * 2 :][:, :2], np.concatenate(texts))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_scatter_is_the_gradient_of_gather(lengths: list[int]) -> None:
    generator = np.random.default_rng(1)
    window = Window(np.array(lengths), 5)
    rows = generator.standard_normal((sum(lengths), 3)).astype(np.float32)
    windows = generator.standard_normal((sum(lengths), 15)).astype(np.float32)
    # <gather(x), y> = <x, scatter(y)> for a linear map and its transpose.
    assert (window.gather(rows) * windows).sum() == pytest.approx((rows * window.scatter(windows)).sum(), abs=1e-3)


def test_a_standardiser_goes_into_the_layer_behind_it() -> None:
    generator = np.random.default_rng(2)
    rows = generator.standard_normal((50, 6), np.float32)
    rows *= np.arange(6, dtype=np.float32)
    rows += 3
    standardiser = Standardiser.of(rows)
    weight, bias = generator.standard_normal((6, 2)).astype(np.float32), np.ones(2, np.float32)
    dense = standardiser.into(weight, bias)
    np.testing.assert_allclose(
        rows @ dense.weight + dense.bias, standardiser(rows) @ weight + bias, rtol=1e-3, atol=1e-3
    )


def test_a_feature_that_never_changes_gets_no_huge_weight() -> None:
    generator = np.random.default_rng(3)
    rows = generator.standard_normal((50, 6)).astype(np.float32)
    rows[:, 2] = 0.25
    dense = Standardiser.of(rows).into(np.ones((6, 1), np.float32), np.zeros(1, np.float32))
    assert np.abs(dense.weight).max() < 20 * np.abs(dense.weight).min()


def test_dropout_keeps_the_mean() -> None:
    mask = Dropout(np.random.default_rng(4)).mask((400, 400), 0.3)
    assert mask.mean() == pytest.approx(1.0, abs=0.02)
    assert (mask == 0).mean() == pytest.approx(0.3, abs=0.01)


def test_adam_finds_the_minimum() -> None:
    target = np.array([[1.0, -2.0]], np.float32)
    parameters = {"x": np.zeros((1, 2), np.float32)}
    optimiser = Adam(parameters, steps=400, rate=0.05, decay=0.0)
    for _ in range(400):
        optimiser.step({"x": 2 * (parameters["x"] - target)})
    np.testing.assert_allclose(parameters["x"], target, atol=1e-3)


def test_weights_decay_and_biases_do_not() -> None:
    parameters = {"weight": np.ones((1, 1), np.float32), "bias": np.ones(1, np.float32)}
    optimiser = Adam(parameters, steps=10, rate=0.1, decay=0.5)
    optimiser.step({"weight": np.zeros((1, 1), np.float32), "bias": np.zeros(1, np.float32)})
    assert parameters["weight"][0, 0] == pytest.approx(0.95)
    assert parameters["bias"][0] == 1


def test_a_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(5)
    honest = generator.standard_normal((4000, 3)).astype(np.float32) * 2
    labels = np.array([generator.choice(3, p=row / row.sum()) for row in softmax(honest).astype(np.float64)])
    temperature = fit_temperature(honest * 4, labels)
    assert temperature == pytest.approx(4, rel=0.15)
    confidences = softmax(honest * 4, temperature)
    right = confidences.argmax(axis=1) == labels
    assert expected_calibration_error(confidences.max(axis=1), right) < 0.03
    overconfident = softmax(honest * 4).max(axis=1)
    assert expected_calibration_error(overconfident, right) > 0.1


def test_calibration_error_of_known_answers() -> None:
    assert expected_calibration_error([0.95] * 10, [True] * 10) == pytest.approx(0.05)
    assert expected_calibration_error([0.95] * 5 + [0.15] * 5, [False] * 10) == pytest.approx(0.55)
    assert expected_calibration_error([], []) == 0


def test_without_spans_there_is_nothing_to_calibrate() -> None:
    assert fit_span_temperature(lambda _: [], np.array([], np.bool_)) == 1.0
