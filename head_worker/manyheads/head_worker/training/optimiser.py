"""Adam with decoupled weight decay, and a learning rate that falls along a cosine."""

import math

import numpy as np

from manyheads.head_worker.tags import Floats

Parameters = dict[str, Floats]

_FIRST, _SECOND, _EPSILON = 0.9, 0.99, 1e-8


class Adam:
    """Moves parameters in place, ``steps`` times.

    Args:
        parameters: matrices decay, vectors do not.
        steps: over which the rate falls to zero.
        rate: the first step's.
        decay: of the weights, a step and unit of rate.
    """

    def __init__(self, parameters: Parameters, steps: int, rate: float, decay: float) -> None:
        self._parameters = parameters
        self._steps = steps
        self._rate = rate
        self._decay = decay
        self._step = 0
        self._means = {name: np.zeros_like(array) for name, array in parameters.items()}
        self._squares = {name: np.zeros_like(array) for name, array in parameters.items()}

    def step(self, gradients: Parameters) -> None:
        """One step along ``gradients``, which it overwrites."""
        rate = self._rate * 0.5 * (1 + math.cos(math.pi * self._step / self._steps))
        self._step += 1
        unbias = math.sqrt(1 - _SECOND**self._step) / (1 - _FIRST**self._step)
        for name, array in self._parameters.items():
            gradient, mean, square = gradients[name], self._means[name], self._squares[name]
            mean *= np.float32(_FIRST)
            mean += np.float32(1 - _FIRST) * gradient
            np.square(gradient, out=gradient)
            square *= np.float32(_SECOND)
            gradient *= np.float32(1 - _SECOND)
            square += gradient
            np.sqrt(square, out=gradient)
            gradient += np.float32(_EPSILON)
            np.divide(mean, gradient, out=gradient)
            gradient *= np.float32(rate * unbias)
            if array.ndim > 1:
                np.multiply(array, np.float32(1 - rate * self._decay), out=array)
            np.subtract(array, gradient, out=array)
