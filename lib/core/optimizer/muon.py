"""Muon: momentum made orthogonal, for hidden layers that learn from nothing."""

from __future__ import annotations

import math
from typing import List, Sequence

import mxnet as mx
import numpy as np

from fullconv.lib.core.optimizer.adam import Adam
from fullconv.lib.core.optimizer.sgd import Arrays


class Muon(Adam):
    """Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); no original has it.

    The momentum (Nesterov's) of a layer's weights, as a matrix of one row per place of the first axis, is replaced by
    the orthogonal matrix next to it, so that a step goes equally far in all directions that gradients have, however
    faint. Steps are as long as Adam's, after Liu et al., "Muon is Scalable for LLM Training" (2025), equation 4, so
    rates carry over, and decay is apart from the gradient. Arrays of one dimension, biases and factors, learn by Adam.

    The matrices are computed on the processor: for slim networks. At the published width of FCN fc6 and fc7 would take
    some 7e12 operations an update.
    """

    # Root mean square of an Adam step, which Liu et al. found between 0.2 and 0.4.
    LENGTH = 0.2

    def __init__(self, params: Arrays, *args, **kwargs) -> None:
        super().__init__(params, *args, **kwargs)
        self.matrices = [name for name in self.names if params[name].ndim > 1]
        self.adaptive = [name for name in self.names if params[name].ndim == 1]
        for name in self.matrices:
            del self.states[f"{name}:variance"]
        self._steps = {name: mx.nd.zeros_like(params[name]) for name in self.matrices}

    def update(self, params: Arrays, grads: Arrays, lr: float, number: int) -> None:
        """Step `number` (from 1) at learning rate `lr`, in place."""
        super().update(params, grads, lr, number)
        for name in self.matrices:
            # Nesterov's momentum: what the operator adds to a weight of zero.
            self._steps[name][:] = 0
            mx.nd.nag_mom_update(
                self._steps[name],
                grads[name],
                self.states[name],
                lr=-1.0,
                momentum=self.momentum,
                rescale_grad=self.rescale_grad,
                out=self._steps[name],
            )
        # All are read before the first is worked on, so the device is waited for once.
        momenta = [self._steps[name].asnumpy() for name in self.matrices]
        steps = orthogonalised([momentum.reshape(len(momentum), -1) for momentum in momenta])
        for name, step in zip(self.matrices, steps):
            self._steps[name][:] = step.reshape(params[name].shape)
            rate, length = lr * self.lr_mults[name], self.LENGTH * math.sqrt(max(step.shape))
            # The operator's decay is lr wd; over `length`, which is in its lr here, it is rate wd: apart from the
            # step.
            mx.nd.sgd_update(
                params[name], self._steps[name], lr=rate * length, wd=self.wds[name] / length, out=params[name]
            )


NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: five steps bring every singular value from 0.01 to 1 between 0.7 and 1.2."""


def orthogonalised(matrices: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Of every matrix U S V' about U V', by five Newton-Schulz steps; float32.

    The steps are done on the smaller of X X' and X' X, all of one size at once: the same polynomial of X, with a fifth
    of the work for wide X. By NumPy, whose products are several times as fast as MXNet's.
    """
    # Nothing depends on the size of a matrix; the squares of large numbers would.
    matrices = [_without_tiny(x / max(np.abs(x).max(), np.float32(1e-30))) for x in matrices]
    tall = [len(x) > x.shape[1] for x in matrices]
    # The smaller of the two: no matrix is larger than the shorter side.
    grams = [x.T @ x if t else x @ x.T for x, t in zip(matrices, tall)]
    results = list(matrices)
    for size in {len(gram) for gram in grams}:
        members = [i for i, gram in enumerate(grams) if len(gram) == size]
        factors = _inverse_roots(np.stack([grams[i] for i in members]))
        for i, factor in zip(members, factors):
            results[i] = matrices[i] @ factor if tall[i] else factor @ matrices[i]
    return results


def _inverse_roots(grams: np.ndarray) -> np.ndarray:
    """About the inverse square root of every (n, n) matrix of (k, n, n)."""
    # Channels that have died leave ever smaller momenta: products of numbers too small for full precision take a
    # hundred times as long. What is dropped would stay below a ten-millionth of a step.
    eye = np.eye(grams.shape[-1], dtype=np.float32)
    # The trace of X X' is the squared Frobenius norm of X, with which no singular value is above 1.
    norms = np.maximum(np.trace(grams, axis1=1, axis2=2), np.float32(1e-30))[:, None, None]
    grams, factors = _without_tiny(grams / norms), eye / np.sqrt(norms)
    a, b, c = np.array(NEWTON_SCHULZ, np.float32)
    for _ in range(5):
        step = a * eye + b * grams + c * _without_tiny(grams @ grams)
        factors = _without_tiny(step @ factors)
        # The Gram matrix of the X that `factors` now makes: all of these matrices are polynomials of one, and commute.
        grams = _without_tiny(step @ _without_tiny(step @ grams))
    return factors


def _without_tiny(x: np.ndarray) -> np.ndarray:
    """`x`, changed: 0 where it is below 1e-16; the largest numbers are about 1."""
    x[np.abs(x) < np.float32(1e-16)] = 0
    return x
