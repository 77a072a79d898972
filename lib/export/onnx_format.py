"""The ONNX file format (onnx/onnx.proto3, IR version 9): messages written field by field, and the head of a file read.

Written by hand because the package `onnx` is needed for nothing else, and reading stays light: the weights, nearly all
of a file, are stepped over.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple, Union

import numpy as np

from fullconv.lib.utils import atomic, wire

OPSET = 19
"""Version of ONNX's operators that files are written in; the first that has DeformConv."""

IR_VERSION = 9
"""Of the format; the one that belongs to the opset."""

LARGEST_MESSAGE = 2**31 - 1
PRODUCER = "fullconv"

Part = Union[bytes, memoryview]
Dim = Union[int, str]
Attribute = Union[int, float, str, Sequence[int]]

# Field numbers of the messages.
MODEL_IR, MODEL_PRODUCER, MODEL_VERSION, MODEL_GRAPH, MODEL_OPSET, MODEL_METADATA = 1, 2, 3, 7, 8, 14
GRAPH_NODE, GRAPH_NAME, GRAPH_TENSOR, GRAPH_INPUT, GRAPH_OUTPUT = 1, 2, 5, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE, NODE_ATTRIBUTE = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_TEXT, ATTRIBUTE_INTS, ATTRIBUTE_KIND = 1, 2, 3, 4, 8, 20
KIND_FLOAT, KIND_INT, KIND_TEXT, KIND_INTS = 1, 2, 3, 7
TENSOR_DIM, TENSOR_TYPE, TENSOR_NAME, TENSOR_BYTES = 1, 2, 8, 9
TYPES = {np.dtype("float32"): 1, np.dtype("int64"): 7}


class FormatError(ValueError):
    """A file that is no ONNX model, or cannot be written as one; the text names it."""


class Value(NamedTuple):
    """An input or output of a model, float32. shape: numbers, and names where any number will do."""

    name: str
    shape: Tuple[Dim, ...]


class Head(NamedTuple):
    """What a file says about itself, weights and operators apart. opset: 0 where it names none of ONNX's own."""

    producer: str
    opset: int
    metadata: Dict[str, str]
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


# ------------------------------------------------------------------------------------------------ writing


def encode_node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Attribute]) -> bytes:
    """An operator, called as its first output. inputs: "" leaves an optional one out."""
    body = b"".join(
        [
            *(wire.encode_text(NODE_INPUT, name) for name in inputs),
            *(wire.encode_text(NODE_OUTPUT, name) for name in outputs),
            wire.encode_text(NODE_NAME, outputs[0]),
            wire.encode_text(NODE_TYPE, kind),
            *(_message(NODE_ATTRIBUTE, _attribute(name, value)) for name, value in attributes.items()),
        ]
    )
    return _message(GRAPH_NODE, body)


def _attribute(name: str, value: Attribute) -> bytes:
    head = wire.encode_text(ATTRIBUTE_NAME, name)
    if isinstance(value, str):
        return head + wire.encode_text(ATTRIBUTE_TEXT, value) + wire.encode_int(ATTRIBUTE_KIND, KIND_TEXT)
    if isinstance(value, float):
        return head + wire.encode_float(ATTRIBUTE_FLOAT, value) + wire.encode_int(ATTRIBUTE_KIND, KIND_FLOAT)
    if isinstance(value, int):
        return head + wire.encode_int(ATTRIBUTE_INT, value) + wire.encode_int(ATTRIBUTE_KIND, KIND_INT)
    numbers = b"".join(wire.encode_int(ATTRIBUTE_INTS, number) for number in value)
    return head + numbers + wire.encode_int(ATTRIBUTE_KIND, KIND_INTS)


def encode_tensor(name: str, array: np.ndarray) -> List[Part]:
    """An array, float32 or int64, in parts, so that its numbers need not be copied."""
    raw = np.ascontiguousarray(array).data.cast("B") if array.size else b""
    head = b"".join(wire.encode_int(TENSOR_DIM, size) for size in array.shape)
    head += wire.encode_int(TENSOR_TYPE, TYPES[array.dtype]) + wire.encode_text(TENSOR_NAME, name)
    body: List[Part] = [head, wire.head(TENSOR_BYTES, len(raw)), raw]
    return [wire.head(GRAPH_TENSOR, wire.size_of(body)), *body]


def _value(number: int, value: Value) -> bytes:
    dims = b"".join(
        _message(1, wire.encode_int(1, dim) if isinstance(dim, int) else wire.encode_text(2, dim))
        for dim in value.shape
    )
    tensor = wire.encode_int(1, TYPES[np.dtype("float32")]) + _message(2, dims)
    return _message(number, wire.encode_text(1, value.name) + _message(2, _message(1, tensor)))


def encode_model(
    name: str,
    version: str,
    nodes: Sequence[bytes],
    tensors: Sequence[Part],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    metadata: Mapping[str, str],
) -> List[Part]:
    """A whole model in parts; `nodes` and `tensors` as `encode_node` and `encode_tensor` make them.

    Raises FormatError: it is larger than the format allows.
    """
    graph: List[Part] = [*nodes, wire.encode_text(GRAPH_NAME, name), *tensors]
    graph += [_value(GRAPH_INPUT, value) for value in inputs] + [_value(GRAPH_OUTPUT, value) for value in outputs]
    parts: List[Part] = [
        wire.encode_int(MODEL_IR, IR_VERSION),
        wire.encode_text(MODEL_PRODUCER, PRODUCER),
        wire.encode_text(MODEL_VERSION, version),
        wire.head(MODEL_GRAPH, wire.size_of(graph)),
        *graph,
        _message(MODEL_OPSET, wire.encode_text(1, "") + wire.encode_int(2, OPSET)),
    ]
    parts += [
        _message(MODEL_METADATA, wire.encode_text(1, key) + wire.encode_text(2, text)) for key, text in metadata.items()
    ]
    if wire.size_of(parts) > LARGEST_MESSAGE:
        raise FormatError(f"{name}: {wire.size_of(parts)} bytes, and an ONNX file of one piece ends at 2 GB")
    return parts


def write(path: str, parts: Sequence[Part]) -> None:
    """Write the file, whole or not at all."""

    def fill(file: atomic.Writable) -> None:
        for part in parts:
            file.write(part)

    atomic.write(path, fill)


def _message(number: int, body: bytes) -> bytes:
    return wire.head(number, len(body)) + body


# ------------------------------------------------------------------------------------------------ reading

MAX_TEXT = 1_000_000
"""Characters that a value of the metadata may have."""


def read_head(model: Union[str, bytes]) -> Head:
    """What a file, or its content, says about itself.

    Raises FormatError: it is no ONNX model. OSError: it cannot be read.
    """
    if isinstance(model, bytes):
        return _head("the exported network", memoryview(model))
    path = model
    with open(path, "rb") as file:
        if os.path.getsize(path) == 0:
            raise FormatError(f"{path}: the file is empty, no ONNX model")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as whole:
            return _head(path, whole)


def _head(path: str, whole: memoryview) -> Head:
    try:
        found = _walk(whole)
    except wire.WireError as error:
        reason = str(error)
    else:
        if found is not None:
            return found
        reason = "it has no graph"
    raise FormatError(f"{path}: no ONNX model, or a damaged one: {reason}; export it again") from None


def _walk(whole: memoryview) -> Union[Head, None]:
    budget, metadata, producer, opset, graph = wire.Budget(), {}, "", 0, False
    inputs: List[str] = []
    outputs: List[str] = []
    # Slices of the file are let go of before it is closed: none may outlive this function.
    for field in wire.fields(whole, budget):
        if field.number == MODEL_PRODUCER:
            producer = wire.text(field)
        elif field.number == MODEL_OPSET:
            domain, version = _pair(field, budget)
            opset = opset if domain else version
        elif field.number == MODEL_METADATA:
            key, text = _pair(field, budget)
            metadata[key] = text
        elif field.number == MODEL_GRAPH:
            graph = True
            for part in wire.fields(_body(field), budget):
                if part.number in (GRAPH_INPUT, GRAPH_OUTPUT):
                    names = inputs if part.number == GRAPH_INPUT else outputs
                    names.append(str(_pair(part, budget)[0]))
    return Head(producer, opset, metadata, tuple(inputs), tuple(outputs)) if graph else None


def _body(field: wire.Field) -> memoryview:
    if field.kind != wire.BYTES:
        raise wire.WireError(f"field {field.number} is no message")
    return field.value


def _pair(field: wire.Field, budget: wire.Budget) -> Tuple[Any, Any]:
    """The first two fields of a message; what is not there is empty."""
    found: Dict[int, Any] = {1: "", 2: 0 if field.number == MODEL_OPSET else ""}
    for part in _first_two(field, budget):
        # The second field of a value is its type, which nobody asks for.
        if part.number == 1 or field.number == MODEL_METADATA:
            found[part.number] = wire.text(part, MAX_TEXT)
        elif field.number == MODEL_OPSET:
            found[2] = wire.integers(part, budget)[0]
    return found[1], found[2]


def _first_two(field: wire.Field, budget: wire.Budget) -> Iterator[wire.Field]:
    yield from (part for part in wire.fields(_body(field), budget) if part.number in (1, 2))
