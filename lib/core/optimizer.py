"""Stochastic gradient descent with momentum and its learning-rate schedule, as the originals train; Adam and Muon."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Type

import mxnet as mx
import numpy as np

Arrays = Mapping[str, mx.nd.NDArray]


class WarmupMultiFactorSchedule(NamedTuple):
    """Learning rate by update number (the first update is number 1).

    `warmup_lr` for update numbers below `warmup_step`, then `base_lr` times `factor` for every entry of `steps` that
    the update number exceeds. A pure function of the number, so a resumed run needs no state.
    """

    base_lr: float
    steps: Sequence[int] = ()
    factor: float = 0.1
    warmup_step: int = 0
    warmup_lr: float = 0.0

    def __call__(self, num_update: int) -> float:
        if num_update < self.warmup_step:
            return self.warmup_lr
        lr = self.base_lr
        for step in self.steps:
            if num_update > step:
                lr *= self.factor
        return lr


class PolySchedule(NamedTuple):
    """Caffe's `poly`: `base_lr (1 - i / last)^power` at iteration i from 0, which is update i + 1; 0 after `last`
    updates. `warmup_lr` below `warmup_step`, as above. A pure function of the number.
    """

    base_lr: float
    last: int
    power: float = 1.0
    warmup_step: int = 0
    warmup_lr: float = 0.0

    def __call__(self, num_update: int) -> float:
        if num_update < self.warmup_step:
            return self.warmup_lr
        return self.base_lr * max(0.0, 1 - (num_update - 1) / self.last) ** self.power


Schedule = Callable[[int], float]
"""Learning rate by update number, from 1."""


class MomentumSGD:
    """MXNet's SGD rule, `m = momentum*m - lr*(grad + wd*w); w += m`.

    wd applies to names ending in `_weight` and `_gamma` only, as MXNet's SGD has it, unless `wd_mults` says otherwise;
    `lr_mults` and `wd_mults` come from the symbol's attributes. Gradients are used as they are summed, times
    `rescale_grad`: nothing is divided by the number of devices.
    """

    def __init__(
        self,
        params: Arrays,
        momentum: float,
        wd: float,
        lr_mults: Mapping[str, float],
        wd_mults: Optional[Mapping[str, float]] = None,
        rescale_grad: float = 1.0,
    ) -> None:
        self.names: List[str] = sorted(params)
        self.momentum = momentum
        self.rescale_grad = rescale_grad
        default = {n: float(n.endswith(("_weight", "_gamma"))) for n in self.names}
        self.wds = {n: wd * (wd_mults or {}).get(n, default[n]) for n in self.names}
        self.lr_mults = {n: float(lr_mults.get(n, 1.0)) for n in self.names}
        self.states: Dict[str, mx.nd.NDArray] = {n: mx.nd.zeros_like(params[n]) for n in self.names}

    def update(self, params: Arrays, grads: Arrays, lr: float, number: int) -> None:
        """Step `number` (from 1) at learning rate `lr`, in place."""
        for name in self.names:
            mx.nd.sgd_mom_update(
                params[name],
                grads[name],
                self.states[name],
                lr=lr * self.lr_mults[name],
                wd=self.wds[name],
                momentum=self.momentum,
                rescale_grad=self.rescale_grad,
                out=params[name],
            )


class Adam(MomentumSGD):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization" (ICLR 2015), algorithm 1; no original has it.

    beta1 is `momentum`. The decay is added to the gradient, as MXNet's Adam does. `states` holds the second moment of
    array `x` as `x:variance`.
    """

    BETA2, EPSILON = 0.999, 1e-8

    def __init__(self, params: Arrays, *args, **kwargs) -> None:
        super().__init__(params, *args, **kwargs)
        self.adaptive = self.names  # what this rule is for
        self.states.update({f"{name}:variance": mx.nd.zeros_like(params[name]) for name in self.names})

    def update(self, params: Arrays, grads: Arrays, lr: float, number: int) -> None:
        """Step `number` (from 1) at learning rate `lr`, in place."""
        correction = math.sqrt(1 - self.BETA2**number) / (1 - self.momentum**number)
        for name in self.adaptive:
            mx.nd.adam_update(
                params[name],
                grads[name],
                self.states[name],
                self.states[f"{name}:variance"],
                lr=lr * correction * self.lr_mults[name],
                wd=self.wds[name],
                beta1=self.momentum,
                beta2=self.BETA2,
                epsilon=self.EPSILON,
                rescale_grad=self.rescale_grad,
                out=params[name],
            )


class Muon(Adam):
    """Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); no original has it.

    The momentum (Nesterov's) of a layer's weights, as a matrix of one row per place of the first axis, is replaced by
    the orthogonal matrix next to it, so that a step goes equally far in all directions that gradients have, however
    faint. Steps are as long as Adam's, after Liu et al., "Muon is Scalable for LLM Training" (2025), equation 4, so
    rates carry over, and decay is apart from the gradient. Arrays of one dimension, biases and factors, learn by Adam.

    The matrices are computed on the processor: for slim networks. At the published width of FCN fc6 and fc7 would take
    some 7e12 operations an update.
    """

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
        momenta = [self._steps[name].asnumpy() for name in self.matrices]
        steps = orthogonalised([momentum.reshape(len(momentum), -1) for momentum in momenta])
        for name, step in zip(self.matrices, steps):
            self._steps[name][:] = step.reshape(params[name].shape)
            rate, length = lr * self.lr_mults[name], self.LENGTH * math.sqrt(max(step.shape))
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
    matrices = [x / max(np.abs(x).max(), np.float32(1e-30)) for x in matrices]
    tall = [len(x) > x.shape[1] for x in matrices]
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
    eye = np.eye(grams.shape[-1], dtype=np.float32)
    # The trace of X X' is the squared Frobenius norm of X, with which no singular value is above 1.
    norms = np.maximum(np.trace(grams, axis1=1, axis2=2), np.float32(1e-30))[:, None, None]
    grams, factors = grams / norms, eye / np.sqrt(norms)
    a, b, c = np.float32(NEWTON_SCHULZ)
    for _ in range(5):
        step = a * eye + b * grams + c * (grams @ grams)
        factors = step @ factors
        grams = step @ (step @ grams)
    return factors


OPTIMIZERS: Dict[str, Type[MomentumSGD]] = {"sgd": MomentumSGD, "adam": Adam, "muon": Muon}


def lr_multipliers(symbol: mx.sym.Symbol) -> Dict[str, float]:
    """Learning-rate multipliers written into a symbol (`attr={'lr_mult': ...}`), by parameter name."""
    return _multipliers(symbol, "lr_mult")


def wd_multipliers(symbol: mx.sym.Symbol) -> Dict[str, float]:
    """Weight-decay multipliers written into a symbol (`attr={'wd_mult': ...}`), by parameter name."""
    return _multipliers(symbol, "wd_mult")


def _multipliers(symbol: mx.sym.Symbol, key: str) -> Dict[str, float]:
    found = {}
    for name, attributes in symbol.attr_dict().items():
        value = attributes.get(f"__{key}__", attributes.get(key))
        if value is not None:
            found[name] = float(value)
    return found
