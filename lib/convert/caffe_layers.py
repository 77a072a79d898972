"""Caffe's layer definitions in a prototxt, read into rows of `lib.network.caffe.layer`.

Strict: a layer type, a field or a value whose meaning is not carried over is an error that names it, never ignored.
Both generations are read: `layers` with `type: CONVOLUTION`, `layer` with `type: "Convolution"`.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.prototxt import Message, Word
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.layer import Layer, Mults

V1_WORDS = {
    "CONVOLUTION": "Convolution",
    "DECONVOLUTION": "Deconvolution",
    "POOLING": "Pooling",
    "RELU": "ReLU",
    "LRN": "LRN",
    "DROPOUT": "Dropout",
    "INNER_PRODUCT": "InnerProduct",
    "SOFTMAX": "Softmax",
    "ELTWISE": "Eltwise",
    "CONCAT": "Concat",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "DATA": "Data",
    "IMAGE_DATA": "ImageData",
    "MEMORY_DATA": "MemoryData",
}

DATA_TYPES = ("Data", "ImageData", "MemoryData", "HDF5Data", "DummyData", "Python")
"""Layers that make blobs out of nothing: their tops become network inputs."""

NET_FIELDS = {"name", "input", "input_dim", "input_shape", "layer", "layers", "force_backward", "state", "debug_info"}
LAYER_FIELDS = {"name", "type", "bottom", "top", "param", "phase", "include", "exclude", "blobs_lr", "weight_decay"}

LARGEST = {"num_output": 1 << 20, "dim": 1 << 20}
"""Larger values, and others above 4096, are taken for damage."""

NORMALIZATION_WORDS = {"VALID": "valid", "FULL": "full", "BATCH_SIZE": "batch", "NONE": "none"}


class _Scope(NamedTuple):
    """A message inside a layer, with the layer's name for errors. Every field must be asked for or allowed."""

    layer: str
    message: Message

    def allow(self, *fields: str) -> None:
        """Raise for the first field not among `fields`."""
        for field in self.message.fields:
            if field.key not in fields:
                raise self.error(f"{field.key} is not supported; known here: {', '.join(fields) or 'nothing'}")

    def integer(self, key: str, default: int = -1, least: int = 1) -> int:
        """A number that may be stated for both axes, equally; required without a default."""
        values = set(self.message.all(key)) or {default}
        value = values.pop()
        if values:
            raise self.error(f"{key} differs between the axes; only square ones are supported")
        if value == -1 and not self.message.all(key):
            raise self.error(f"{key} is missing")
        if not isinstance(value, int) or not least <= value <= LARGEST.get(key, 4096):
            raise self.error(f"{key}: a number from {least} to {LARGEST.get(key, 4096)} is expected, found {value!r}")
        return value

    def real(self, key: str, default: float) -> float:
        value = self.message.get(key, default)
        if isinstance(value, (str, Message)) or not abs(value) < 1e30:
            raise self.error(f"{key}: a number is expected, found {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.message.get(key, Word(str(default).lower()))
        if value not in ("true", "false"):
            raise self.error(f"{key}: true or false is expected, found {value!r}")
        return value == "true"

    def only(self, key: str, meaning: Any) -> None:
        """The field may be stated, with its usual value."""
        value = self.message.get(key, meaning)
        if value != meaning:
            raise self.error(f"{key}: {value!r} is not supported, only {meaning!r}")

    def inner(self, key: str) -> _Scope:
        """A sub-message; an empty one when absent."""
        value = self.message.get(key, Message(line=self.message.line))
        if not isinstance(value, Message):
            raise self.error(f"{key}: a message in braces is expected")
        return _Scope(self.layer, value)

    def texts(self, key: str) -> Tuple[str, ...]:
        values = self.message.all(key)
        if not all(isinstance(value, str) for value in values):
            raise self.error(f"{key}: text is expected")
        return tuple(values)

    def error(self, text: str) -> ConvertError:
        return ConvertError(f"layer {self.layer!r} (line {self.message.line}): {text}")


# ------------------------------------------------------------------------------------------------ reading


def read_layers(net: Message, phase: str = "TEST") -> List[Layer]:
    """Rows of a network message: those of `phase` (TRAIN or TEST) where the file distinguishes them.

    Raises:
        ConvertError: anything that is not supported; names the layer and its line.
    """
    _Scope("of the network", net).allow(*sorted(NET_FIELDS))
    layers = _legacy_inputs(net)
    for message in [*net.all("layer"), *net.all("layers")]:
        if not isinstance(message, Message):
            raise ConvertError(f"layer: {message!r} found where a message in braces is expected")
        scope = _Scope(str(message.get("name", "")), message)
        if _in_phase(scope, phase):
            layers += _read_layer(scope)
    if not layers:
        raise ConvertError("no layers: not a network (is it a solver?)")
    return layers


def _read_layer(scope: _Scope) -> List[Layer]:
    kind = str(scope.message.get("type", ""))
    kind = V1_WORDS.get(kind, kind)
    bottoms, tops = scope.texts("bottom"), scope.texts("top")
    if kind in DATA_TYPES and not bottoms:
        return [rows.data(top) for top in tops]
    if kind not in _READERS:
        known = ", ".join(sorted([*_READERS, *DATA_TYPES]))
        raise scope.error(f"type {kind!r} is not supported; known types: {known}. Remove the layer or replace it")
    reader = _READERS[kind]
    scope.allow(*LAYER_FIELDS, *reader.messages)
    if kind == "Input":
        return _read_input(scope, tops)
    if len(tops) != 1 or not reader.bottoms[0] <= len(bottoms) <= reader.bottoms[1]:
        raise scope.error(f"{len(bottoms)} bottoms and {len(tops)} tops do not fit a {kind} layer")
    layer = reader.read(scope, scope.layer, bottoms)
    return [layer._replace(bottoms=bottoms, top=tops[0], mults=_mults(scope))]


def _mults(scope: _Scope) -> Mults:
    """(learning rate, decay) multipliers from `param` messages, or the older generation's two lists."""
    rates, decays = scope.message.all("blobs_lr"), scope.message.all("weight_decay")
    if rates or decays:
        count = max(len(rates), len(decays))
        padded = [list(values) + [1] * (count - len(values)) for values in (rates, decays)]
        return tuple(zip(*padded))
    mults = []
    for param in scope.message.all("param"):
        if not isinstance(param, Message):
            raise scope.error("param: shared parameters are not supported")
        inner = _Scope(scope.layer, param)
        inner.allow("lr_mult", "decay_mult")
        mults.append((inner.real("lr_mult", 1.0), inner.real("decay_mult", 1.0)))
    return tuple(mults)


def _in_phase(scope: _Scope, phase: str) -> bool:
    def matches(rule: Any) -> bool:
        if not isinstance(rule, Message) or rule.keys() != ["phase"]:
            raise scope.error("include and exclude: only `phase` is supported")
        return rule.get("phase") == phase

    included = [matches(rule) for rule in scope.message.all("include")]
    excluded = [matches(rule) for rule in scope.message.all("exclude")]
    return (not included or any(included)) and not any(excluded)


def _legacy_inputs(net: Message) -> List[Layer]:
    """`input: "data"` with four `input_dim` or an `input_shape` each, above the layers."""
    scope = _Scope("input", net)
    names, dims = scope.texts("input"), net.all("input_dim")
    shapes = [_dims(_Scope("input", shape)) for shape in net.all("input_shape") if isinstance(shape, Message)]
    shapes = shapes or [dims[i : i + 4] for i in range(0, len(dims), 4)]
    if len(shapes) not in (0, len(names)):
        raise scope.error(f"{len(names)} inputs have {len(shapes)} shapes")
    return [rows.data(name, _channels(scope, shape)) for name, shape in zip(names, shapes or [()] * len(names))]


def _dims(scope: _Scope) -> List[int]:
    scope.allow("dim")
    return scope.message.all("dim")


def _channels(scope: _Scope, shape: Sequence[Any]) -> int:
    if not all(isinstance(n, int) and 0 < n <= LARGEST["dim"] for n in shape):
        raise scope.error(f"shape {list(shape)[:8]}: positive numbers are expected")
    return shape[1] if len(shape) > 1 else 0


def _read_input(scope: _Scope, tops: Tuple[str, ...]) -> List[Layer]:
    param = scope.inner("input_param")
    param.allow("shape")
    shapes = [_dims(_Scope(scope.layer, shape)) for shape in param.message.all("shape") if isinstance(shape, Message)]
    if len(shapes) not in (0, 1, len(tops)):
        raise scope.error(f"{len(tops)} tops have {len(shapes)} shapes")
    shapes = shapes * len(tops) if len(shapes) == 1 else shapes or [()] * len(tops)
    return [rows.data(top, _channels(scope, shape)) for top, shape in zip(tops, shapes)]


def _convolution(scope: _Scope, name: str, bottoms: Sequence[str], transposed: bool = False) -> Layer:
    param = scope.inner("convolution_param")
    param.allow(
        "num_output",
        "kernel_size",
        "stride",
        "pad",
        "group",
        "bias_term",
        "dilation",
        "weight_filler",
        "bias_filler",
        "engine",
    )
    options = {
        "num_output": param.integer("num_output"),
        "kernel": param.integer("kernel_size"),
        "stride": param.integer("stride", 1),
        "pad": param.integer("pad", 0, least=0),
        "group": param.integer("group", 1),
        "bias": param.flag("bias_term", True),
    }
    if options["num_output"] % options["group"]:
        raise param.error(f"num_output {options['num_output']} does not divide into {options['group']} groups")
    if transposed:
        param.only("dilation", 1)
        return rows.deconvolution(name, bottoms[0], **options)
    return rows.convolution(name, bottoms[0], dilation=param.integer("dilation", 1), **options)


def _deconvolution(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    return _convolution(scope, name, bottoms, transposed=True)


def _inner_product(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("inner_product_param")
    param.allow("num_output", "bias_term", "weight_filler", "bias_filler", "axis")
    param.only("axis", 1)
    return rows.inner_product(name, bottoms[0], param.integer("num_output"), param.flag("bias_term", True))


def _pooling(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("pooling_param")
    param.allow("pool", "kernel_size", "stride", "pad", "engine")
    param.only("pool", "MAX")
    pad = param.integer("pad", 0, least=0)
    return rows.max_pooling(name, bottoms[0], param.integer("kernel_size"), param.integer("stride", 1), pad)


def _lrn(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("lrn_param")
    param.allow("local_size", "alpha", "beta", "k", "norm_region", "engine")
    param.only("norm_region", "ACROSS_CHANNELS")
    size = param.integer("local_size", 5)
    if size % 2 == 0:
        raise param.error(f"local_size: an odd number is expected, found {size}")
    return rows.lrn(name, bottoms[0], size, param.real("alpha", 1.0), param.real("beta", 0.75), param.real("k", 1.0))


def _relu(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("relu_param")
    param.allow("negative_slope", "engine")
    param.only("negative_slope", 0)
    return rows.relu(name, bottoms[0])


def _dropout(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("dropout_param")
    param.allow("dropout_ratio")
    ratio = param.real("dropout_ratio", 0.5)
    if not 0 <= ratio < 1:
        raise param.error(f"dropout_ratio: a number from 0 to below 1 is expected, found {ratio}")
    return rows.dropout(name, bottoms[0], ratio)


def _softmax(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("softmax_param")
    param.allow("axis", "engine")
    param.only("axis", 1)
    return rows.softmax(name, bottoms[0])


def _eltwise(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("eltwise_param")
    param.allow("operation", "coeff", "stable_prod_grad")
    param.only("operation", "SUM")
    coefficients = param.message.all("coeff")
    if len(coefficients) not in (0, len(bottoms)) or not all(isinstance(c, (int, float)) for c in coefficients):
        raise param.error(f"coeff: a number for each of the {len(bottoms)} bottoms is expected")
    return rows.eltwise_sum(name, bottoms, [float(c) for c in coefficients])


def _concat(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("concat_param")
    param.allow("axis", "concat_dim")
    param.only("axis", 1)
    param.only("concat_dim", 1)
    return rows.concat(name, bottoms)


def _crop(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("crop_param")
    param.allow("axis", "offset")
    param.only("axis", 2)
    return rows.crop(name, *bottoms, offset=param.integer("offset", 0, least=0))


def _scale(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("scale_param")
    param.allow("axis", "num_axes", "filler", "bias_term", "bias_filler")
    param.only("axis", 1)
    param.only("num_axes", 1)
    filler = param.inner("filler")
    filler.allow("type", "value")
    filler.only("type", "constant")
    value = filler.real("value", 0.0) if param.message.all("filler") else 1.0
    return rows.scale(name, bottoms[0], value, bias=param.flag("bias_term", False))


def _softmax_loss(scope: _Scope, name: str, bottoms: Sequence[str]) -> Layer:
    scope.only("loss_weight", 1)
    param = scope.inner("loss_param")
    param.allow("ignore_label", "normalize", "normalization")
    word = param.message.get("normalization", "VALID" if param.flag("normalize", True) else "BATCH_SIZE")
    if word not in NORMALIZATION_WORDS:
        raise param.error(f"normalization: {word!r} is not known")
    ignore = param.message.get("ignore_label", -1)
    if not isinstance(ignore, int):
        raise param.error(f"ignore_label: a whole number is expected, found {ignore!r}")
    return rows.softmax_loss(name, *bottoms, NORMALIZATION_WORDS[word], ignore)


class _Reader(NamedTuple):
    """How a type is read: its function, fewest and most bottoms, and the fields it has besides the common ones."""

    read: Callable[..., Layer]
    bottoms: Tuple[int, int] = (1, 1)
    messages: Tuple[str, ...] = ()


_READERS: Dict[str, _Reader] = {
    "Input": _Reader(rows.data, (0, 0), ("input_param",)),
    "Convolution": _Reader(_convolution, messages=("convolution_param",)),
    "Deconvolution": _Reader(_deconvolution, messages=("convolution_param",)),
    "InnerProduct": _Reader(_inner_product, messages=("inner_product_param",)),
    "Pooling": _Reader(_pooling, messages=("pooling_param",)),
    "LRN": _Reader(_lrn, messages=("lrn_param",)),
    "ReLU": _Reader(_relu, messages=("relu_param",)),
    "Dropout": _Reader(_dropout, messages=("dropout_param",)),
    "Softmax": _Reader(_softmax, messages=("softmax_param",)),
    "Eltwise": _Reader(_eltwise, (2, 16), ("eltwise_param",)),
    "Concat": _Reader(_concat, (1, 16), ("concat_param",)),
    "Crop": _Reader(_crop, (2, 2), ("crop_param",)),
    "Scale": _Reader(_scale, messages=("scale_param",)),
    "SoftmaxWithLoss": _Reader(_softmax_loss, (2, 2), ("loss_param", "softmax_param", "loss_weight")),
}
