"""Stochastic gradient descent with momentum and its learning-rate schedule, as the originals train; and Adam."""

from __future__ import annotations

import math
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Type

import mxnet as mx

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
                params[name], grads[name], self.states[name], lr=lr * self.lr_mults[name], wd=self.wds[name],
                momentum=self.momentum, rescale_grad=self.rescale_grad, out=params[name],
            )  # fmt: skip


class Adam(MomentumSGD):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization" (ICLR 2015), algorithm 1; no original has it.

    beta1 is `momentum`. The decay is added to the gradient, as MXNet's Adam does. `states` holds the second moment of
    array `x` as `x:variance`.
    """

    BETA2, EPSILON = 0.999, 1e-8

    def __init__(self, params: Arrays, *args, **kwargs) -> None:
        super().__init__(params, *args, **kwargs)
        self.states.update({f"{name}:variance": mx.nd.zeros_like(params[name]) for name in self.names})

    def update(self, params: Arrays, grads: Arrays, lr: float, number: int) -> None:
        """Step `number` (from 1) at learning rate `lr`, in place."""
        correction = math.sqrt(1 - self.BETA2**number) / (1 - self.momentum**number)
        for name in self.names:
            mx.nd.adam_update(
                params[name], grads[name], self.states[name], self.states[f"{name}:variance"],
                lr=lr * correction * self.lr_mults[name], wd=self.wds[name], beta1=self.momentum, beta2=self.BETA2,
                epsilon=self.EPSILON, rescale_grad=self.rescale_grad, out=params[name],
            )  # fmt: skip


OPTIMIZERS: Dict[str, Type[MomentumSGD]] = {"sgd": MomentumSGD, "adam": Adam}


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
