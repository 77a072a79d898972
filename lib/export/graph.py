"""An ONNX graph in the making, and what a rule sees of the MXNet node that it translates."""

from __future__ import annotations

import ast
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fullconv.lib.export import onnx_format
from fullconv.lib.export.errors import ExportError
from fullconv.lib.export.onnx_format import Attribute


class Node(NamedTuple):
    """One MXNet operator. inputs: names of values in the graph. arrays: the network's parameters by name."""

    op: str
    name: str
    attrs: Mapping[str, str]
    inputs: Tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute as Python's number, tuple or bool; texts stay."""
        text = self.attrs.get(key)
        if text is None:
            return default
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def pair(self, key: str, default: Tuple[int, int]) -> Tuple[int, int]:
        """A vertical and a horizontal number."""
        value = self.get(key) or default
        if len(value) != 2:
            raise self.error(f"{key}={value}: only images are exported, with two numbers")
        return int(value[0]), int(value[1])

    def flag(self, key: str, default: bool = False) -> bool:
        """A yes or no, however MXNet spells it."""
        return self.attrs.get(key, str(default)) in ("True", "true", "1")

    def array(self, index: int) -> np.ndarray:
        """The parameter that is input `index`, as float64, so that folding loses nothing."""
        name = self.inputs[index]
        if name not in self.arrays:
            raise self.error(f"input {index} must be a parameter, it is computed by {name}")
        return self.arrays[name].astype(np.float64)

    def error(self, reason: str) -> ExportError:
        """An error that names the layer."""
        return ExportError(f"layer {self.name!r} ({self.op}) cannot be exported: {reason}")


class Graph:
    """Operators in order, and the arrays they use; each array once, however often it is used.

    parameters: arrays by name; those that an operator names become part of the graph.
    """

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self.parameters = parameters
        self.nodes: List[bytes] = []
        self.arrays: Dict[str, np.ndarray] = {}
        self._constants: Dict[Tuple[str, tuple, bytes], str] = {}
        self._count = 0

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Attribute) -> str:
        """Add an operator; returns the name of its output. name: of the MXNet layer, so that both can be compared."""
        return self.add_many(kind, *inputs, name=name, outputs=1, **attributes)[0]

    def add_many(
        self, kind: str, *inputs: str, outputs: int, name: str = "", **attributes: Attribute
    ) -> Tuple[str, ...]:
        """`add` for an operator with several outputs."""
        for value in inputs:
            if value in self.parameters and value not in self.arrays:
                self.parameter(value, self.parameters[value])
        self._count += 1
        stem = f"{name or 'value'}/{kind}_{self._count}"
        names = (stem,) if outputs == 1 else tuple(f"{stem}:{number}" for number in range(outputs))
        self.nodes.append(onnx_format.encode_node(kind, inputs, names, attributes))
        return names

    def rename(self, value: str, name: str) -> None:
        """Let `name` be an output of the graph that has this value."""
        self.nodes.append(onnx_format.encode_node("Identity", [value], [name], {}))

    def parameter(self, name: str, array: np.ndarray) -> str:
        """An array that a rule made, under a name of its own."""
        self.arrays[name] = np.ascontiguousarray(array, np.float32)
        return name

    def floats(self, *numbers: float, shape: Optional[Sequence[int]] = None) -> str:
        """Constant numbers; without a shape one number is a scalar, several are a vector."""
        return self._constant(np.array(numbers, np.float32), shape if shape is not None or len(numbers) > 1 else ())

    def ints(self, *numbers: int) -> str:
        """A constant vector of integers."""
        return self._constant(np.array(numbers, np.int64), None)

    def _constant(self, array: np.ndarray, shape: Optional[Sequence[int]]) -> str:
        array = array if shape is None else array.reshape(tuple(shape))
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            name = f"constant/{len(self._constants)}"
            self._constants[key] = name
            self.arrays[name] = array
        return self._constants[key]

    # ------------------------------------------------------------------------- what several rules need

    def shape(self, value: str, first: int = 0, last: Optional[int] = None) -> str:
        """The lengths of axes first to last - 1 of a value, as integers."""
        if last is None:
            return self.add("Shape", value, start=first)
        return self.add("Shape", value, start=first, end=last)

    def per_channel(self, name: str, array: np.ndarray) -> str:
        """A number for each channel of (N, C, H, W)."""
        return self.parameter(name, array.reshape(1, -1, 1, 1))
