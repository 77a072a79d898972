"""`.caffemodel` files: the arrays of a Caffe network by layer.

Reads layers of all three generations (`layers` of 2013 and 2014, with four legacy dimensions, and `layer`), writes the
newest. Field numbers are those of Caffe's published message definitions. Nothing is allocated before the file is seen
to hold it.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fullconv.lib.convert.caffe_types import BY_NUMBER, BY_V0_WORD, VECTORS
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core.params_file import FOREIGN
from fullconv.lib.utils import atomic, wire
from fullconv.lib.utils.wire import Budget, Field, WireError

# protobuf's own limit of a message.
LARGEST_MESSAGE = 2**31 - 1
MAX_AXES = 32
MAX_BLOBS, MAX_RUNS = 64, 1000
"""Arrays of a layer (Caffe's own have five at most), and pieces an array may come in (Caffe writes one)."""

NET_NAME, NET_V1_LAYERS, NET_LAYER = 1, 2, 100
LAYER_NAME, LAYER_TYPE, LAYER_BOTTOM, LAYER_TOP, LAYER_BLOBS = 1, 2, 3, 4, 7
V1_V0_LAYER = 1
BLOB_LEGACY, BLOB_DATA, BLOB_SHAPE, BLOB_DOUBLE_DATA = (1, 2, 3, 4), 5, 7, 8
SHAPE_DIM = 1


class _Generation(NamedTuple):
    """Field numbers of a layer's name, type and arrays, and how its type is spelled."""

    name: int
    type: int
    blobs: int
    spelling: Callable[[Field], str]


class BlobLayer(NamedTuple):
    """A layer: its name, its type in Caffe's words, float32 arrays, and the names of what it reads and makes."""

    name: str
    type: str
    blobs: Tuple[np.ndarray, ...]
    bottoms: Tuple[str, ...] = ()
    tops: Tuple[str, ...] = ()


def _number(field: Field) -> str:
    if not isinstance(field.value, int):
        raise WireError(f"a layer type of wire type {field.kind}")
    return BY_NUMBER.get(field.value, f"V1 type {field.value}")


def _old_word(field: Field) -> str:
    word = wire.text(field)
    return BY_V0_WORD.get(word, word)


_V0, _V1, _NOW = _Generation(1, 2, 50, _old_word), _Generation(4, 5, 6, _number), _Generation(1, 2, 7, wire.text)


def read(path: str) -> List[BlobLayer]:
    """All layers of a `.caffemodel`, those without blobs too, in the file's order.

    Legacy four-dimensional shapes become the natural ones: (O, I) for InnerProduct weights, (O,) for biases.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: foreign, truncated or inconsistent; names the layer and the value.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    try:
        layers = _Reader(_mapped(path)).layers()
    except WireError as error:
        raise ConvertError(f"{path}: no Caffe model: {error}; fetch the file again") from None
    names = [layer.name for layer in layers if layer.blobs]
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ConvertError(f"{path}: two layers called {twice!r} hold arrays; rename one of them")
    if not names:
        raise ConvertError(f"{path}: no layer holds arrays; is this a solver state or a network without weights?")
    return layers


def _mapped(path: str) -> memoryview:
    if os.path.getsize(path) == 0:
        raise WireError("the file is empty")
    # Mapped, as models have half a gigabyte and only their arrays are needed.
    view = np.memmap(path, np.uint8, "r").data
    start = bytes(view[:64])
    for magic, what in FOREIGN:
        if start.startswith(magic):
            raise WireError(f"this is {what}")
    return view


class _Reader:
    """Walks a network message."""

    def __init__(self, message: memoryview) -> None:
        self.message, self.budget = message, Budget()

    def layers(self) -> List[BlobLayer]:
        found = []
        for field in wire.fields(self.message, self.budget):
            if field.number in (NET_LAYER, NET_V1_LAYERS):
                found.append(self._layer(field, old=field.number == NET_V1_LAYERS))
        return found

    def _layer(self, field: Field, old: bool) -> BlobLayer:
        name, kind, blobs = "", "", []
        links: Dict[int, List[str]] = {LAYER_BOTTOM: [], LAYER_TOP: []}
        for generation, part in self._layer_parts(field, old):
            if part.number == generation.name:
                name = wire.text(part)
            elif part.number == generation.type:
                kind = generation.spelling(part)
            elif part.number == generation.blobs:
                blobs.append(part)
            elif generation is _NOW and part.number in links:
                links[part.number].append(wire.text(part))
            if len(blobs) > MAX_BLOBS:
                raise WireError(f"layer {name!r} has more than {MAX_BLOBS} arrays")
        try:
            arrays = tuple(self._blob(blob, kind, index) for index, blob in enumerate(blobs))
        except WireError as error:
            raise WireError(f"layer {name!r}, {error}") from None
        return BlobLayer(name, kind, arrays, tuple(links[LAYER_BOTTOM]), tuple(links[LAYER_TOP]))

    def _layer_parts(self, field: Field, old: bool) -> Iterator[Tuple[_Generation, Field]]:
        """Fields of a layer. One of 2013 lies inside one of 2014 and has other numbers."""
        for part in self._parts(field, "a layer"):
            if old and part.number == V1_V0_LAYER:
                for inner in self._parts(part, "a layer"):
                    yield _V0, inner
            else:
                yield _V1 if old else _NOW, part

    def _parts(self, field: Field, what: str) -> Iterator[Field]:
        if field.kind != wire.BYTES:
            raise WireError(f"{what} of wire type {field.kind}")
        return wire.fields(field.value, self.budget)

    def _blob(self, field: Field, kind: str, index: int) -> np.ndarray:
        legacy, runs = [0, 0, 0, 0], []
        shape: Optional[Tuple[int, ...]] = None
        for part in self._parts(field, f"blob {index}"):
            if part.number in (BLOB_DATA, BLOB_DOUBLE_DATA):
                runs.append(wire.floats(part, "<f4" if part.number == BLOB_DATA else "<f8"))
                if len(runs) > MAX_RUNS:
                    raise WireError(f"blob {index}: numbers in more than {MAX_RUNS} pieces")
            elif part.number in BLOB_LEGACY:
                # The last value counts, as in protobuf; none is 0.
                legacy[part.number - 1] = [0, *wire.integers(part, self.budget)][-1]
            elif part.number == BLOB_SHAPE:
                inner = self._parts(part, "a shape")
                shape = tuple(n for dim in inner if dim.number == SHAPE_DIM for n in wire.integers(dim, self.budget))
        return _array(runs, _natural(legacy, kind, index) if shape is None else shape, index)


def _natural(legacy: Sequence[int], kind: str, index: int) -> Tuple[int, ...]:
    """The shape meant by (num, channels, height, width)."""
    # The first blob of these types is a vector; that of a convolution with one filter of one row is not.
    if kind in VECTORS and list(legacy[:3]) == [1, 1, 1]:
        return tuple(legacy[3:])
    if list(legacy[:2]) == [1, 1] and (kind == "InnerProduct" or index > 0):
        # A bias, (1, 1, 1, O), or the weight of a fully connected layer, (1, 1, O, I).
        return tuple(legacy[3:]) if index > 0 and legacy[2] == 1 else tuple(legacy[2:])
    return tuple(legacy)


def _array(runs: Sequence[np.ndarray], shape: Tuple[int, ...], index: int) -> np.ndarray:
    """A float32 copy of the numbers in a file, once they are known to fill the shape."""
    # The axes are counted first: the product of a hundred thousand of them has millions of digits.
    if len(shape) > MAX_AXES:
        raise WireError(f"blob {index}: shape with {len(shape)} axes; {MAX_AXES} are the format's most")
    size, held = math.prod(shape), sum(len(run) for run in runs)
    if size != held or size == 0:
        raise WireError(f"blob {index}: shape {shape} takes {size} numbers, the file has {held}")
    # astype copies in either case: the arrays must not hang on the mapped file.
    array = np.concatenate([run.astype(np.float32) for run in runs]) if len(runs) > 1 else runs[0].astype(np.float32)
    # Found here, where the layer has a name, and not in a score of NaN.
    if not np.isfinite(array).all():
        raise WireError(f"blob {index} holds NaN or infinite numbers, as a diverged training leaves them")
    return array.reshape(shape)


# ------------------------------------------------------------------------------------------------ writing


def write(path: str, layers: Sequence[BlobLayer], name: str = "") -> None:
    """Write a `.caffemodel` of the newer generation; the file is whole or, if anything fails, as it was before.

    Raises:
        ConvertError: values that are not finite, a network of 2 GB or more (the format's limit), or a full disk.
    """
    parts: List[Any] = [wire.encode_text(NET_NAME, name)]
    for layer in layers:
        body = _layer_parts(layer, path)
        parts += [wire.head(NET_LAYER, wire.size_of(body)), *body]
    if wire.size_of(parts) > LARGEST_MESSAGE:
        raise ConvertError(f"{path}: not written: {wire.size_of(parts)} bytes, and the format ends at 2 GB")
    try:
        atomic.write(path, lambda file: _put(file, parts))
    except OSError as error:
        raise ConvertError(f"{path}: cannot be written: {error.strerror}; nothing was left behind") from None


def _put(file: atomic.Writable, parts: Sequence[Any]) -> None:
    for part in parts:
        file.write(part)


def _layer_parts(layer: BlobLayer, path: str) -> List[Any]:
    parts: List[Any] = [wire.encode_text(LAYER_NAME, layer.name), wire.encode_text(LAYER_TYPE, layer.type)]
    parts += [wire.encode_text(LAYER_BOTTOM, bottom) for bottom in layer.bottoms]
    parts += [wire.encode_text(LAYER_TOP, top) for top in layer.tops]
    for blob in layer.blobs:
        array = np.ascontiguousarray(blob, "<f4")
        if array.size == 0 or not np.isfinite(array).all():
            raise ConvertError(f"{path}: not written: layer {layer.name!r} has empty, NaN or infinite arrays")
        dims = b"".join(wire.encode_varint(length) for length in array.shape)
        shape = wire.head(SHAPE_DIM, len(dims)) + dims
        numbers = array.data.cast("B")
        # Parts are kept apart up to the file, so that no array is copied to be put behind its length.
        body: List[Any] = [wire.head(BLOB_SHAPE, len(shape)), shape, wire.head(BLOB_DATA, len(numbers)), numbers]
        parts += [wire.head(LAYER_BLOBS, wire.size_of(body)), *body]
    return parts
