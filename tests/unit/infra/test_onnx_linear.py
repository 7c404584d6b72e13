"""The int8 product: every row by itself, close to float32."""

import functools

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyheads.infra.onnx.graph import GraphBuilder
from manyheads.infra.onnx.linear import Floats, float_linear, per_token_linear, quantised_columns
from manyheads.infra.onnx.sessions import cpu_session

_IN, _OUT = 96, 80
_GELU_MINIMUM = -0.17


@functools.cache
def _weights() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(_IN, _OUT)).astype(np.float32) * np.geomspace(0.01, 1, _OUT, dtype=np.float32)
    return weight, rng.normal(size=_OUT).astype(np.float32)


@functools.cache
def _session(kind: str) -> onnxruntime.InferenceSession:
    weight, bias = _weights()
    graph = GraphBuilder("linear")
    x = graph.input("x", np.float32, ["rows", _IN])
    match kind:
        case "float":
            y = float_linear(graph, x, weight, bias)
        case "symmetric":
            y = per_token_linear(graph, x, weight, bias)
        case _:
            y = per_token_linear(graph, x, weight, bias, lower_bound=_GELU_MINIMUM)
    graph.output("y", y, np.float32, ["rows", _OUT])
    return cpu_session(graph.build())


def _run(kind: str, x: Floats) -> Floats:
    result: Floats = _session(kind).run(["y"], {"x": x})[0]
    return result


def _rows(seed: int, count: int, spread: float) -> Floats:
    rng = np.random.default_rng(seed)
    magnitudes = np.exp(rng.normal(scale=spread, size=(count, 1)))
    return np.maximum(rng.normal(size=(count, _IN)) * magnitudes, _GELU_MINIMUM).astype(np.float32)


@pytest.mark.parametrize("kind", ["symmetric", "one-sided"])
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 70), spread=st.sampled_from([0.0, 1.0, 8.0]))
def test_a_row_is_the_same_bits_in_any_batch(kind: str, seed: int, count: int, spread: float) -> None:
    rows = _rows(seed, count, spread)
    together = _run(kind, rows)
    order = np.random.default_rng(seed).permutation(count)
    assert _run(kind, rows[order]).tobytes() == together[order].tobytes()
    one = int(order[0])
    assert _run(kind, rows[one : one + 1]).tobytes() == together[one : one + 1].tobytes()


@pytest.mark.parametrize("kind", ["symmetric", "one-sided"])
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.0, 2.0]))
def test_the_error_is_bounded_by_the_rounding_of_activations_and_weights(kind: str, seed: int, spread: float) -> None:
    x = _rows(seed, 16, spread)
    weight, bias = _weights()
    exact = x.astype(np.float64) @ weight + bias
    _, column_scales = quantised_columns(weight)
    if kind == "symmetric":
        step = np.abs(x).max(axis=1, keepdims=True) / 127
    else:
        step = np.maximum(x.max(axis=1, keepdims=True) / (255 - 32), -_GELU_MINIMUM / 32)
    bound = (
        np.abs(weight).sum(axis=0) * step / 2
        + np.abs(x).sum(axis=1, keepdims=True) * column_scales / 2
        + _IN * step * column_scales / 4
    )
    assert (np.abs(_run(kind, x) - exact) <= bound * 1.001 + 1e-4).all()


def test_one_sided_activations_lose_less_with_their_lower_bound() -> None:
    x = _rows(0, 256, 0.0)
    exact = _run("float", x)
    errors = {kind: np.linalg.norm(_run(kind, x) - exact) for kind in ("symmetric", "one-sided")}
    assert errors["one-sided"] < 0.8 * errors["symmetric"]


@pytest.mark.parametrize("kind", ["symmetric", "one-sided"])
def test_a_row_of_zeros_gives_the_bias(kind: str) -> None:
    np.testing.assert_allclose(_run(kind, np.zeros((1, _IN), np.float32))[0], _weights()[1], atol=0.02)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_quantised_columns_are_within_half_a_step(seed: int) -> None:
    weight = np.random.default_rng(seed).normal(size=(7, 5)).astype(np.float32)
    weight[:, 0] = 0
    quantised, scales = quantised_columns(weight)
    assert (np.abs(quantised * scales - weight) <= scales * 0.5001).all()
