"""What enters a network, and in which shape, as far as a prototxt says.

A shape is (N, C, H, W), or what else the file states; 0 where it says nothing. It says nothing of a channel that only
the images know, and nothing at all of what a Python layer makes.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from fullconv.lib.convert.caffe_fields import LARGEST, Scope
from fullconv.lib.convert.prototxt import Message

Shape = Tuple[int, ...]
UNKNOWN: Shape = (1, 0, 0, 0)


def above_the_layers(net: Message) -> Dict[str, Shape]:
    """`input: "data"` with four `input_dim` or an `input_shape` each."""
    scope = Scope("input", net)
    names, dims = scope.texts("input"), net.all("input_dim")
    shapes = _shapes(scope, "input_shape") or [_checked(scope, dims[i : i + 4]) for i in range(0, len(dims), 4)]
    if len(shapes) not in (0, len(names)):
        raise scope.error(f"{len(names)} inputs have {len(shapes)} shapes")
    return dict(zip(names, shapes or [UNKNOWN] * len(names)))


def of_input_layer(scope: Scope, tops: Sequence[str]) -> Dict[str, Shape]:
    """A layer of type Input."""
    param = scope.inner("input_param")
    param.allow("shape")
    return _spread(scope, tops, _shapes(param, "shape"))


def of_source(scope: Scope, kind: str, tops: Sequence[str]) -> Dict[str, Shape]:
    """A layer that reads files or makes numbers. Its first top is the image; labels have no stated shape."""
    if kind == "DummyData":
        return _spread(scope, tops, _dummy(scope.inner("dummy_data_param")))
    if kind == "MemoryData":
        param = scope.inner("memory_data_param")
        sizes = [param.integer(key, 0, 0) for key in ("channels", "height", "width")]
        image: Shape = (1, *sizes)
    else:
        image = (1, _channels(scope, kind), *_image_size(scope))
    return {top: image if index == 0 else UNKNOWN for index, top in enumerate(tops)}


def _image_size(scope: Scope) -> Tuple[int, int]:
    """The crop, wherever the generations write it, or the size that images are brought to."""
    param = [scope.inner(field.key) for field in scope.message.fields if isinstance(field.value, Message)]
    for inner in param:
        crop = inner.integer("crop_size", 0, 0)
        if crop:
            return crop, crop
    for inner in param:
        size = inner.integer("new_height", 0, 0), inner.integer("new_width", 0, 0)
        if all(size):
            return size
    return 0, 0


def _channels(scope: Scope, kind: str) -> int:
    """3 or 1 where the file decides it, not where the images do."""
    transform = scope.inner("transform_param")
    if transform.flag("force_gray", False):
        return 1
    if kind == "ImageData":
        return 3 if scope.inner("image_data_param").flag("is_color", True) else 1
    # Windows are always read in colour.
    return 3 if kind == "WindowData" or transform.flag("force_color", False) else 0


def _dummy(param: Scope) -> List[Shape]:
    """`shape` messages, or four lists of the older kind whose last value serves for what follows."""
    shapes = _shapes(param, "shape")
    lists = [param.message.all(key) for key in ("num", "channels", "height", "width")]
    if shapes or not all(lists):
        return shapes
    count = max(len(values) for values in lists)
    return [_checked(param, [values[min(i, len(values) - 1)] for values in lists]) for i in range(count)]


def _spread(scope: Scope, tops: Sequence[str], shapes: List[Shape]) -> Dict[str, Shape]:
    """One shape for each top, or one for all."""
    if len(shapes) not in (0, 1, len(tops)):
        raise scope.error(f"{len(tops)} tops have {len(shapes)} shapes")
    return dict(zip(tops, shapes * len(tops) if len(shapes) == 1 else shapes or [UNKNOWN] * len(tops)))


def _shapes(scope: Scope, key: str) -> List[Shape]:
    found = []
    for shape in scope.message.all(key):
        if not isinstance(shape, Message):
            raise scope.error(f"{key}: a message in braces is expected")
        inner = Scope(scope.layer, shape)
        inner.allow("dim")
        found.append(_checked(inner, shape.all("dim")))
    return found


def _checked(scope: Scope, shape: Sequence[Any]) -> Shape:
    if len(shape) > 8 or not all(isinstance(n, int) and 0 < n <= LARGEST["dim"] for n in shape):
        raise scope.error(f"shape {list(shape)[:8]}: positive numbers are expected")
    return tuple(shape)
