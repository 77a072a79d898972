"""How each type of layer in a prototxt is read into rows of `lib.network.caffe.layer`.

A reader gets the layer's fields, its name and its bottoms, and returns the row; bottoms, top and multipliers are filled
in by `lib.convert.caffe_layers`. What has no counterpart in MXNet that computes the same is refused here.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from fullconv.lib.convert.caffe_fields import Scope
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.layer import Layer, both

FILLERS = ("weight_filler", "bias_filler")
"""How arrays begin: read past, because a caffemodel says what they are."""

GEOMETRY = ("kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w", "pad", "pad_h", "pad_w")


def _convolution(scope: Scope, name: str, bottoms: Sequence[str], transposed: bool = False) -> Layer:
    param = scope.inner("convolution_param")
    param.allow(
        "num_output", *GEOMETRY, "group", "bias_term", "dilation", *FILLERS, "engine", "axis", "force_nd_im2col"
    )
    param.only("axis", 1)
    options: Dict[str, Any] = {
        "num_output": param.integer("num_output"),
        "kernel": param.size("kernel_size"),
        "stride": param.size("stride", 1),
        "pad": param.size("pad", 0, least=0),
        "group": param.integer("group", 1),
        "bias": param.flag("bias_term", True),
        "dilation": param.size("dilation", 1),
    }
    # MXNet would say so only when the network is bound, without the layer's line.
    if options["num_output"] % options["group"]:
        raise param.error(f"num_output {options['num_output']} does not divide into {options['group']} groups")
    return (rows.deconvolution if transposed else rows.convolution)(name, bottoms[0], **options)


def _deconvolution(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    return _convolution(scope, name, bottoms, transposed=True)


def _inner_product(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("inner_product_param")
    param.allow("num_output", "bias_term", *FILLERS, "axis", "transpose")
    param.only("axis", 1)
    if param.flag("transpose", False):
        raise param.error("transpose: its weights lie the other way round; transpose them in Caffe and leave it out")
    return rows.inner_product(name, bottoms[0], param.integer("num_output"), param.flag("bias_term", True))


def _pooling(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("pooling_param")
    param.allow("pool", *GEOMETRY, "engine", "global_pooling", "round_mode")
    method = param.choice("pool", ("MAX", "AVE", "STOCHASTIC"), "MAX")
    if method == "STOCHASTIC":
        raise param.error("pool: STOCHASTIC draws at random and is not supported; MAX and AVE are")
    # FLOOR is of a later Caffe and makes maps of another size.
    if param.choice("round_mode", ("CEIL", "FLOOR"), "CEIL") == "FLOOR":
        raise param.error("round_mode: FLOOR is not supported, only CEIL")
    # The kernel is then the map's size, and Caffe does not let the file state one.
    if param.flag("global_pooling", False):
        return Layer(name, "MeanPooling" if method == "AVE" else "GlobalMaxPooling", (), name, {})
    kernel, pad = param.size("kernel_size"), param.size("pad", 0, least=0)
    # Caffe checks the same: such a window would have no number to take the largest of.
    if any(p >= k for p, k in zip(both(pad), both(kernel))):
        raise param.error(f"pad {pad} leaves windows of padding alone: it must be below the kernel's size {kernel}")
    row = rows.max_pooling(name, bottoms[0], kernel, param.size("stride", 1), pad)
    return row if method == "MAX" else row._replace(options={**row.options, "method": method})


def _lrn(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("lrn_param")
    param.allow("local_size", "alpha", "beta", "k", "norm_region", "engine")
    if param.choice("norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL"), "ACROSS_CHANNELS") == "WITHIN_CHANNEL":
        raise param.error("norm_region: WITHIN_CHANNEL is not supported, only ACROSS_CHANNELS")
    size = param.integer("local_size", 5)
    # An even window has no middle channel.
    if size % 2 == 0:
        raise param.error(f"local_size: an odd number is expected, found {size}")
    return rows.lrn(name, bottoms[0], size, param.real("alpha", 1.0), param.real("beta", 0.75), param.real("k", 1.0))


def _relu(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("relu_param")
    param.allow("negative_slope", "engine")
    slope = param.real("negative_slope", 0.0)
    return Layer(name, "ReLU", (), name, {"slope": slope} if slope else {})


def _prelu(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("prelu_param")
    param.allow("filler", "channel_shared")
    return Layer(name, "PReLU", (), name, {"shared": param.flag("channel_shared", False)})


def _dropout(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("dropout_param")
    param.allow("dropout_ratio")
    ratio = param.real("dropout_ratio", 0.5)
    if not 0 <= ratio < 1:
        raise param.error(f"dropout_ratio: a number from 0 to below 1 is expected, found {ratio}")
    return rows.dropout(name, bottoms[0], ratio)


def _numbers(kind: str, message: str, **defaults: float) -> Callable[..., Layer]:
    """Reader of a type whose options are all numbers of one message."""

    def read(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
        param = scope.inner(message)
        param.allow(*defaults, "engine")
        options = {key: param.real(key, default) for key, default in defaults.items()}
        base = options.get("base", -1)
        if base != -1 and (base <= 0 or (kind == "Log" and base == 1)):
            raise param.error(f"base: a positive number, or -1 for e, is expected, found {base}")
        return Layer(name, kind, (), name, options)

    return read


def _softmax(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("softmax_param")
    param.allow("axis", "engine")
    return Layer(name, "Softmax", (), name, _axis(param))


def _axis(param: Scope, *keys: str) -> Dict[str, Any]:
    """Option `axis`, which is absent where it is that of the channels."""
    found = [param.integer(key, least=-8) for key in keys or ("axis",) if param.message.all(key)]
    axis = found[0] if found else 1
    if not -4 <= axis < 4:
        raise param.error(f"axis: a number from -4 to 3 is expected, found {axis}")
    return {} if axis == 1 else {"axis": axis}


def _eltwise(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("eltwise_param")
    param.allow("operation", "coeff", "stable_prod_grad")
    operation = param.choice("operation", ("PROD", "SUM", "MAX"), "SUM")
    coefficients = param.message.all("coeff")
    if len(coefficients) not in (0, len(bottoms)) or not all(isinstance(c, (int, float)) for c in coefficients):
        raise param.error(f"coeff: a number for each of the {len(bottoms)} bottoms is expected")
    if coefficients and operation != "SUM":
        raise param.error(f"coeff: coefficients belong to sums, not to operation {operation}")
    row = rows.eltwise_sum(name, bottoms, [float(c) for c in coefficients])
    return row if operation == "SUM" else row._replace(options={**row.options, "operation": operation})


def _concat(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("concat_param")
    param.allow("axis", "concat_dim")
    return Layer(name, "Concat", (), name, _axis(param, "axis", "concat_dim"))


def _crop(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    """Offset None where there is no crop_param: such files are older than it and meant for a Caffe that aligned."""
    param = scope.inner("crop_param")
    param.allow("axis", "offset")
    param.only("axis", 2)
    offset = param.size("offset", 0, least=0) if scope.message.all("crop_param") else None
    return Layer(name, "Crop", (), name, {"offset": offset})


def _batch_norm(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    """In testing, whose stored statistics it is; a file that insists on the batch's own is refused."""
    param = scope.inner("batch_norm_param")
    param.allow("use_global_stats", "moving_average_fraction", "eps")
    if not param.flag("use_global_stats", True):
        raise param.error("use_global_stats: false takes the statistics of the batch; testing takes the stored ones")
    return Layer(name, "StoredNorm", (), name, {"eps": param.real("eps", 1e-5)})


def _scale(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("scale_param")
    param.allow("axis", "num_axes", "filler", "bias_term", "bias_filler")
    param.only("axis", 1)
    param.only("num_axes", 1)
    filler = param.inner("filler")
    constant = str(filler.message.get("type", "constant")) == "constant"
    # Caffe's filler starts at 0 where it is stated without a value, and a Scale without any starts at 1.
    value = filler.real("value", 0.0) if param.message.all("filler") and constant else 1.0
    return rows.scale(name, bottoms[0], value, bias=param.flag("bias_term", False))


def _bias(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("bias_param")
    param.allow("axis", "num_axes", "filler")
    param.only("axis", 1)
    param.only("num_axes", 1)
    return Layer(name, "Bias", (), name, {})


def _flatten(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("flatten_param")
    param.allow("axis", "end_axis")
    param.only("axis", 1)
    param.only("end_axis", -1)
    return Layer(name, "Flatten", (), name, {})


def _reshape(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("reshape_param")
    param.allow("shape", "axis", "num_axes")
    param.only("num_axes", -1)
    shape = param.inner("shape")
    shape.allow("dim")
    dims = shape.message.all("dim")
    if not dims or len(dims) > 8 or not all(isinstance(n, int) and -1 <= n <= 1 << 20 for n in dims):
        raise param.error(f"shape: one to eight numbers are expected, 0 to keep one, -1 for the rest; found {dims[:8]}")
    # `axis` leaves that many lengths in front as they are, which a 0 each says too.
    kept = param.integer("axis", 0, least=0)
    if kept > 4 or dims.count(-1) > 1:
        raise param.error("axis: at most 4 is expected, and -1 once in the shape")
    return Layer(name, "Reshape", (), name, {"shape": (0,) * kept + tuple(dims)})


def _arg_max(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    param = scope.inner("argmax_param")
    param.allow("out_max_val", "top_k", "axis")
    param.only("top_k", 1)
    if param.flag("out_max_val", False) or not param.message.all("axis"):
        raise param.error("only the index of the largest along a stated axis is supported: argmax_param { axis: 1 }")
    return Layer(name, "ArgMax", (), name, {"axis": 1, **_axis(param)})


def _split(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    return Layer(name, "Split", (), name, {})


def _softmax_loss(scope: Scope, name: str, bottoms: Sequence[str]) -> Layer:
    scope.only("loss_weight", 1)
    param = scope.inner("loss_param")
    param.allow("ignore_label", "normalize", "normalization")
    # The older field, which the newer one overrides.
    old = "VALID" if param.flag("normalize", True) else "BATCH_SIZE"
    word = param.choice("normalization", ("FULL", "VALID", "BATCH_SIZE", "NONE"), old)
    ignore = param.message.get("ignore_label", -1)
    if not isinstance(ignore, int):
        raise param.error(f"ignore_label: a whole number is expected, found {ignore!r}"[:100])
    ours = "batch" if word == "BATCH_SIZE" else word.lower()
    score, label = bottoms
    return rows.softmax_loss(name, score, label, ours, ignore)


def slice_rows(scope: Scope, name: str, tops: Sequence[str]) -> List[Layer]:
    """Rows of a Slice, one for each top: between the stated points, or equal parts."""
    param = scope.inner("slice_param")
    param.allow("axis", "slice_point", "slice_dim")
    axis = _axis(param, "axis", "slice_dim").get("axis", 1)
    # Points are counted from 0 and the last part takes the rest.
    points = param.message.all("slice_point")
    if not points:
        parts = [{"axis": axis, "parts": len(tops), "index": i} for i in range(len(tops))]
    else:
        bounds = [0, *points]
        rising = all(isinstance(n, int) for n in points) and all(a < b for a, b in zip(bounds, bounds[1:]))
        if len(points) != len(tops) - 1 or not rising:
            raise param.error(f"slice_point: {len(tops) - 1} rising numbers are expected for {len(tops)} tops")
        parts = [{"axis": axis, "begin": a, "end": b} for a, b in zip(bounds, [*points, None])]
    return [Layer(f"{name}_{i}", "Slice", (), top, part) for i, (top, part) in enumerate(zip(tops, parts))]


class Reader(NamedTuple):
    """How a type is read: its function, fewest and most bottoms, and the fields it has besides the common ones."""

    read: Callable[..., Layer]
    bottoms: Tuple[int, int] = (1, 1)
    messages: Tuple[str, ...] = ()


READERS: Dict[str, Reader] = {
    "Convolution": Reader(_convolution, messages=("convolution_param",)),
    "Deconvolution": Reader(_deconvolution, messages=("convolution_param",)),
    "InnerProduct": Reader(_inner_product, messages=("inner_product_param",)),
    "Pooling": Reader(_pooling, messages=("pooling_param",)),
    "LRN": Reader(_lrn, messages=("lrn_param",)),
    "ReLU": Reader(_relu, messages=("relu_param",)),
    "PReLU": Reader(_prelu, messages=("prelu_param",)),
    "ELU": Reader(_numbers("ELU", "elu_param", alpha=1.0), messages=("elu_param",)),
    "Sigmoid": Reader(_numbers("Sigmoid", "sigmoid_param"), messages=("sigmoid_param",)),
    "TanH": Reader(_numbers("TanH", "tanh_param"), messages=("tanh_param",)),
    "AbsVal": Reader(_numbers("AbsVal", "absval_param")),
    "BNLL": Reader(_numbers("BNLL", "bnll_param")),
    "Threshold": Reader(_numbers("Threshold", "threshold_param", threshold=0.0), messages=("threshold_param",)),
    "Power": Reader(_numbers("Power", "power_param", power=1.0, scale=1.0, shift=0.0), messages=("power_param",)),
    "Exp": Reader(_numbers("Exp", "exp_param", base=-1.0, scale=1.0, shift=0.0), messages=("exp_param",)),
    "Log": Reader(_numbers("Log", "log_param", base=-1.0, scale=1.0, shift=0.0), messages=("log_param",)),
    "Dropout": Reader(_dropout, messages=("dropout_param",)),
    "Softmax": Reader(_softmax, messages=("softmax_param",)),
    "Eltwise": Reader(_eltwise, (2, 64), ("eltwise_param",)),
    "Concat": Reader(_concat, (1, 64), ("concat_param",)),
    "Crop": Reader(_crop, (2, 2), ("crop_param",)),
    "BatchNorm": Reader(_batch_norm, messages=("batch_norm_param",)),
    "Scale": Reader(_scale, messages=("scale_param",)),
    "Bias": Reader(_bias, messages=("bias_param",)),
    "Flatten": Reader(_flatten, messages=("flatten_param",)),
    "Reshape": Reader(_reshape, messages=("reshape_param",)),
    "ArgMax": Reader(_arg_max, messages=("argmax_param",)),
    "Split": Reader(_split),
    "SoftmaxWithLoss": Reader(_softmax_loss, (2, 2), ("loss_param", "softmax_param", "loss_weight")),
}
