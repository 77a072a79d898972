"""Drives the finished operator library through MXNet's extension entry points, without MXNet.

`MiniHost(path).call("fullconv_psroi_pooling", [data, rois], {"spatial_scale": 0.0625, ...})` parses attributes, infers
types and shapes, allocates outputs and runs forward, as MXNet would; `backward=True` runs the gradient. On the CPU the
arrays are numpy's; on a GPU a `device` (see device.py) holds them. Errors carry the library's own message.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

VOID_P = ctypes.c_void_p
FLOAT32 = 0
ALLOCATE = ctypes.CFUNCTYPE(VOID_P, VOID_P, ctypes.c_int)


class HostError(RuntimeError):
    """An entry point reported failure."""


class Operator(NamedTuple):
    """Function pointers of one registration."""

    parse: VOID_P
    infer_type: VOID_P
    infer_shape: VOID_P
    forward: Dict[str, VOID_P]
    backward: Dict[str, VOID_P]


class NumpyDevice:
    """Arrays in main memory; the interface that device.py implements for a GPU."""

    context = b"cpu"
    stream = None

    def put(self, array: np.ndarray) -> Any:
        return np.ascontiguousarray(array)

    def empty(self, shape: Sequence[int], dtype: Any = np.float32) -> Any:
        filler = np.nan if np.dtype(dtype).kind == "f" else 0xAB
        return np.full(tuple(shape), filler, dtype)

    def pointer(self, array: Any) -> int:
        return array.ctypes.data

    def get(self, array: Any) -> np.ndarray:
        return array


class MiniHost:
    """One loaded library; `operators` maps names to registrations."""

    def __init__(self, path: Path, device: Any = None) -> None:
        self._library = ctypes.CDLL(str(path))
        self._device = device or NumpyDevice()
        for name in ("_msgGet", "_opRegGet", "_opCallFree"):
            getattr(self._library, name).restype = None
        if self._library.initialize(10901) != 1:
            raise HostError(f"initialize refused version 1.9.1: {self._message()}")
        self.operators = dict(self._operator(i) for i in range(self._library._opRegSize()))

    def call(
        self, name: str, inputs: Sequence[np.ndarray], attributes: Dict[str, Any], backward: bool = False
    ) -> List[np.ndarray]:
        """Outputs of the forward pass; with `backward`, gradients of the inputs for head gradients of one."""
        arrays = [self._device.put(np.asarray(array, np.float32)) for array in inputs]
        shapes = self.output_shapes(name, [array.shape for array in inputs], attributes)
        outputs = [self._device.empty(shape) for shape in shapes]
        self._compute(self.operators[name].forward, arrays, outputs, attributes)
        if backward:
            heads = [self._device.put(np.ones(shape, np.float32)) for shape in shapes]
            arrays = [*heads, *arrays, *outputs]
            outputs = [self._device.empty(array.shape) for array in inputs]
            self._compute(self.operators[name].backward, arrays, outputs, attributes)
        return [self._device.get(array) for array in outputs]

    def output_shapes(
        self, name: str, shapes: Sequence[Tuple[int, ...]], attributes: Dict[str, Any]
    ) -> List[Tuple[int, ...]]:
        """Shapes of the outputs, after attributes, types and shapes have been checked."""
        operator, pairs = self.operators[name], _strings(attributes)
        num_in, num_out = ctypes.c_int(), ctypes.c_int()
        self._check(
            self._library._opCallParseAttrs(operator.parse, *pairs, ctypes.byref(num_in), ctypes.byref(num_out))
        )
        if num_in.value != len(shapes):
            raise HostError(f"{name}: takes {num_in.value} inputs, {len(shapes)} given")
        types = (ctypes.c_int * len(shapes))(*[FLOAT32] * len(shapes))
        out_types = (ctypes.c_int * num_out.value)()
        self._check(self._library._opCallInferType(operator.infer_type, *pairs, types, num_in, out_types, num_out))
        return self._infer_shapes(operator, pairs, shapes, num_out.value)

    def _infer_shapes(self, operator: Operator, pairs: tuple, shapes: Sequence, count: int) -> List[Tuple[int, ...]]:
        unsigned_p = ctypes.POINTER(ctypes.c_uint)
        rows = [(ctypes.c_uint * len(shape))(*shape) for shape in shapes]
        given = (unsigned_p * len(rows))(*[ctypes.cast(row, unsigned_p) for row in rows])
        ranks = (ctypes.c_int * len(rows))(*map(len, shapes))
        changed, out = ctypes.POINTER(unsigned_p)(), ctypes.POINTER(unsigned_p)()
        changed_ranks, out_ranks = ctypes.POINTER(ctypes.c_int)(), ctypes.POINTER(ctypes.c_int)()
        results = map(ctypes.byref, (changed, changed_ranks, out, out_ranks))
        self._check(
            self._library._opCallInferShape(operator.infer_shape, *pairs, given, ranks, len(rows), *results, count)
        )
        found = [tuple(out[i][axis] for axis in range(out_ranks[i])) for i in range(count)]
        for block, ranked, size in ((changed, changed_ranks, len(rows)), (out, out_ranks, count)):
            for pointer in [*(block[i] for i in range(size)), block, ranked]:
                self._library._opCallFree(pointer)
        return found

    def _compute(self, functions: Dict[str, VOID_P], inputs: List, outputs: List, attributes: Dict) -> None:
        context = self._device.context
        scratch: List[Any] = []  # kept until the call is over

        def allocate(_: Any, size: int) -> int:
            scratch.append(self._device.empty((size + 256,), np.uint8))
            return -(-self._device.pointer(scratch[-1]) // 256) * 256

        allocator = ALLOCATE(allocate)
        dense_in, dense_out = ((ctypes.c_int * max(len(x), 1))() for x in (inputs, outputs))
        tensors = [*self._tensors(inputs, context), *self._tensors(outputs, context)]
        memory = [allocator, None, allocator, None, VOID_P(self._device.stream), None, None]
        self._check(
            self._library._opCallFCompute(
                functions[context.decode()], *_strings(attributes), *tensors, *memory, dense_in, dense_out, *[None] * 10
            )
        )

    def _tensors(self, arrays: List, context: bytes) -> tuple:
        """shapes, ranks, data, types, ids, device types, device ids, count: as _opCallFCompute wants them."""
        count, int64_p = len(arrays), ctypes.POINTER(ctypes.c_int64)
        rows = [(ctypes.c_int64 * len(array.shape))(*array.shape) for array in arrays]
        return (
            (int64_p * count)(*[ctypes.cast(row, int64_p) for row in rows]),
            (ctypes.c_int * count)(*[len(array.shape) for array in arrays]),
            (VOID_P * count)(*map(self._device.pointer, arrays)),
            (ctypes.c_int * count)(*[FLOAT32] * count),
            (ctypes.c_size_t * count)(*range(count)),
            (ctypes.c_char_p * count)(*[context] * count),
            (ctypes.c_int * count)(),
            count,
        )

    def _operator(self, index: int) -> Tuple[str, Operator]:
        strings, functions = ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(VOID_P)
        name, subgraph = ctypes.c_char_p(), ctypes.c_int()
        tables = [(strings(), functions(), ctypes.c_int()) for _ in range(3)]  # forward, backward, state
        parse, types, storage, shape, mutate = (VOID_P() for _ in range(5))
        table_arguments = [ctypes.byref(part) for table in tables for part in table]
        rest = [ctypes.byref(function) for function in (parse, types, storage, shape, mutate)]
        self._library._opRegGet(index, ctypes.byref(name), ctypes.byref(subgraph), *table_arguments, *rest)
        forward, backward, _ = (
            {contexts[i].decode(): VOID_P(entries[i]) for i in range(count.value)}
            for contexts, entries, count in tables
        )
        return name.value.decode(), Operator(parse, types, shape, forward, backward)

    def _check(self, returned: int) -> None:
        if returned != 1:
            raise HostError(self._message())

    def _message(self) -> str:
        size = self._library._msgSize()
        message = ctypes.c_char_p()
        if size:
            self._library._msgGet(size - 1, ctypes.byref(message))
        return (message.value or b"no message").decode()


def _strings(attributes: Dict[str, Any]) -> tuple:
    """keys, values, count: the attributes as MXNet passes them."""
    keys, values = (
        (ctypes.c_char_p * len(attributes))(*[str(item).encode() for item in items])
        for items in (attributes.keys(), attributes.values())
    )
    return keys, values, len(attributes)
