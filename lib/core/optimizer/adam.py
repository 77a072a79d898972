"""Adam."""

from __future__ import annotations

import math

import mxnet as mx

from fullconv.lib.core.optimizer.sgd import Arrays, Optimizer


class Adam(Optimizer):
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
        # Both bias corrections in the rate (end of the paper's section 2): MXNet's operator makes none.
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
