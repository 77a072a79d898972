"""Stochastic gradient descent with momentum, in the form of Caffe and MXNet and in that of PyTorch."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional

import mxnet as mx

Arrays = Mapping[str, mx.nd.NDArray]


class Optimizer:
    """What every rule has: multipliers of each parameter, and `states`, the arrays that resuming needs, by name.

    wd applies to names ending in `_weight` and `_gamma` only, as MXNet's SGD has it, unless `wd_mults` says otherwise.
    Gradients are used as they are summed, times `rescale_grad`: nothing is divided by the number of devices.
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
        # Sorted, so that neither updates nor saved states depend on the order in which a dict was filled.
        self.names: List[str] = sorted(params)
        self.momentum = momentum
        self.rescale_grad = rescale_grad
        default = {n: float(n.endswith(("_weight", "_gamma"))) for n in self.names}
        self.wds = {n: wd * (wd_mults or {}).get(n, default[n]) for n in self.names}
        self.lr_mults = {n: float(lr_mults.get(n, 1.0)) for n in self.names}
        self.states: Dict[str, mx.nd.NDArray] = {n: mx.nd.zeros_like(params[n]) for n in self.names}

    def update(self, params: Arrays, grads: Arrays, lr: float, number: int) -> None:
        """Step `number` (from 1) at learning rate `lr`, in place."""
        raise NotImplementedError


class MomentumSGD(Optimizer):
    """`m = momentum m - lr (grad + wd w); w += m`: the rate is part of the momentum (Caffe, MXNet)."""

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


class TorchSGD(Optimizer):
    """`v = momentum v + grad + wd w; w -= lr v`: the rate is not part of the momentum (PyTorch, no dampening).

    The two forms go the same way until the rate changes; then this one takes the new rate at once.
    """

    def __init__(self, params: Arrays, *args, **kwargs) -> None:
        super().__init__(params, *args, **kwargs)
        # Another name than the other form's momentum has, which is of another size and sign: neither resumes from it.
        self.states = {f"{name}:velocity": state for name, state in self.states.items()}
        # MXNet's operator also adds v to the weight. It may add it to something that nobody reads: one scratch for
        # every shape there is.
        self._scratch = {params[name].shape: mx.nd.zeros_like(params[name]) for name in self.names}

    def update(self, params: Arrays, grads: Arrays, lr: float, number: int) -> None:
        """Step `number` (from 1) at learning rate `lr`, in place."""
        for name in self.names:
            mx.nd.sgd_mom_update(
                params[name],
                grads[name],
                self.states[f"{name}:velocity"],
                # m = momentum m - lr (grad + wd w): at a rate of -1 this is PyTorch's v.
                lr=-1.0,
                wd=self.wds[name],
                momentum=self.momentum,
                rescale_grad=self.rescale_grad,
                out=self._scratch[params[name].shape],
            )
            # wd is in v already
            mx.nd.sgd_update(
                params[name], self.states[f"{name}:velocity"], lr=lr * self.lr_mults[name], wd=0.0, out=params[name]
            )
