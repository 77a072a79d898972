"""Executors of one symbol on one device: one per input shape, sharing parameters and working memory.

Images come in many sizes and a bound executor has one. The pool binds the largest shape first; every later shape
borrows its memory, so the number of shapes costs little. Parameters and gradients are the same arrays in all of them.

On processors that holds for oneDNN's operators alone. Another one (clip, our GroupNorm) takes plain arrays, and MXNet
keeps a copy of what oneDNN laid out in its own way for every such operator of every executor: networks of them cost
their whole memory again for each shape, which is why there are few.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

Shapes = Dict[str, Tuple[int, ...]]


class ExecutorPool:
    """At most `limit` executors of `symbol` on `ctx`, least recently used shapes dropped first.

    largest: input shapes of the first binding, at least as large as any that will come (larger ones still work,
    with memory of their own). grad_req: per argument, as `simple_bind` takes it; None for prediction.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        ctx: mx.Context,
        largest: Shapes,
        grad_req: Optional[Mapping[str, str]] = None,
        limit: int = 16,
    ) -> None:
        self.symbol = symbol
        self.ctx = ctx
        self.limit = limit
        self.input_names = list(largest)
        self.param_names = [name for name in symbol.list_arguments() if name not in largest]
        # Inputs and what stays fixed get no gradient array at all: MXNet then leaves that part of the backward pass
        # out.
        self.grad_req = dict.fromkeys(symbol.list_arguments(), "null")
        self.grad_req.update(grad_req or {})
        self._executors: OrderedDict[tuple, mx.executor.Executor] = OrderedDict()
        # Inputs by name: binding takes an array from here where it is large enough, and puts a new one here where not.
        self._buffer: Dict[str, mx.nd.NDArray] = {}
        self.root = symbol.simple_bind(ctx, grad_req=self.grad_req, shared_buffer=self._buffer, **largest)
        self._executors[self._key(largest)] = self.root

    @property
    def params(self) -> Dict[str, mx.nd.NDArray]:
        """Parameter arrays on this device (shared by all executors)."""
        return {name: self.root.arg_dict[name] for name in self.param_names}

    @property
    def grads(self) -> Dict[str, mx.nd.NDArray]:
        """Gradient arrays of the parameters that have one."""
        return {name: self.root.grad_dict[name] for name in self.param_names if self.grad_req[name] != "null"}

    @property
    def aux(self) -> Dict[str, mx.nd.NDArray]:
        """Auxiliary states, the BatchNorm statistics."""
        return self.root.aux_dict

    def _key(self, shapes: Mapping[str, Sequence[int]]) -> tuple:
        return tuple(tuple(shapes[name]) for name in self.input_names)

    def executor(self, shapes: Shapes) -> mx.executor.Executor:
        """The executor for these input shapes, bound now if it is new."""
        key = self._key(shapes)
        if key not in self._executors:
            self._make_room()
            self._executors[key] = self.symbol.simple_bind(
                self.ctx,
                grad_req=self.grad_req,
                # Always the root, which was bound with the largest shapes.
                shared_exec=self.root,
                shared_arg_names=self.param_names,
                shared_buffer=self._buffer,
                **{name: shapes[name] for name in self.input_names},
            )
        self._executors.move_to_end(key)
        return self._executors[key]

    def _make_room(self) -> None:
        """Drop the least recently used shape, never the root, after its work is finished."""
        while len(self._executors) >= self.limit:
            # The root stays, as all others use its memory and its parameters.
            key = next(k for k, executor in self._executors.items() if executor is not self.root)
            # What was queued may still be computing.
            mx.nd.waitall()
            del self._executors[key]

    def feed(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put in one batch. Inputs the symbol does not use are skipped."""
        self.current = self.executor({name: arrays[name].shape for name in self.input_names})
        for name in self.input_names:
            self.current.arg_dict[name][:] = arrays[name]

    def forward(self, arrays: Mapping[str, np.ndarray], is_train: bool) -> List[mx.nd.NDArray]:
        """`feed` one batch and `run` it."""
        self.feed(arrays)
        return self.run(is_train)

    def run(self, is_train: bool) -> List[mx.nd.NDArray]:
        """Forward pass of the batch that was fed; outputs are valid until the next call."""
        return self.current.forward(is_train=is_train)

    def backward(self) -> None:
        """Gradients of the last forward pass into the shared gradient arrays."""
        self.current.backward()
