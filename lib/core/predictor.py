"""Forward passes of a trained network on one device."""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence

import mxnet as mx
import numpy as np

from fullconv.lib.core.checked_file import refuse_unless_finite
from fullconv.lib.core.executors import ExecutorPool, Shapes


class Predictor:
    """Runs `symbol` with given parameters on inputs of any size up to (and, at some cost, beyond) `largest`.

    Few shapes stay bound: for testing, MXNet's fused convolutions keep a copy of all weights in every bound executor
    (240 MB for ResNet-101). Feed images of one shape after the other.

    Raises CheckpointError: NaN or infinite parameters.

    The parameters come through `lib.core.matching.match_params`, so every one is there and has its shape.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        ctx: mx.Context,
        largest: Shapes,
        arg_params: Mapping[str, mx.nd.NDArray],
        aux_params: Mapping[str, mx.nd.NDArray],
        executor_limit: int = 3,
    ) -> None:
        # Without this, weights of nothing but NaN give scores: oneDNN's relu makes 0 of it.
        refuse_unless_finite("the network's parameters", {**arg_params, **aux_params})
        self.pool = ExecutorPool(symbol, ctx, largest, limit=executor_limit)
        # MXNet appends _output to an operator's name.
        self.output_names = [name[: -len("_output")] for name in symbol.list_outputs()]
        for mine, given in ((self.pool.params, arg_params), (self.pool.aux, aux_params)):
            for name in mine:
                # Files of half or double precision are taken too; the network computes in float32.
                given[name].astype("float32").copyto(mine[name])

    def start(self, batch: Mapping[str, np.ndarray]) -> List[mx.nd.NDArray]:
        """Queue a forward pass; the returned copies stay valid when the next one is queued."""
        return [output.copy() for output in self.pool.forward(batch, is_train=False)]

    def finish(self, outputs: Sequence[mx.nd.NDArray]) -> Dict[str, np.ndarray]:
        """Wait for what `start` returned; arrays by output name."""
        return {name: output.asnumpy() for name, output in zip(self.output_names, outputs)}

    def __call__(self, batch: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Forward pass, waited for."""
        return self.finish(self.start(batch))
