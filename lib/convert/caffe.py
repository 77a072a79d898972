"""Caffe networks and weights, in and out.

`load_network` reads a prototxt into rows of `lib.network.caffe.layer`, `load_params` the weights of a caffemodel by
parameter name, `match` checks strictly that they fit. `export` writes both files, for Caffe and for OpenCV's dnn
module. Weights are taken as they are: no channel is swapped, no array transposed (the layouts of the two frameworks
are the same). What does not fit as it stands is a case for `lib.convert.surgery`.

    python -m fullconv.lib.convert.caffe show FILE
    python -m fullconv.lib.convert.caffe import --prototxt FILE --caffemodel FILE --prefix model/fcn
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.convert import caffemodel, prototxt
from fullconv.lib.convert.caffe_inputs import UNKNOWN
from fullconv.lib.convert.caffe_layers import ALIGNED, ZERO, Network, read_layers
from fullconv.lib.convert.caffe_types import LOSSES
from fullconv.lib.convert.caffe_writer import write_layers, written_type
from fullconv.lib.convert.caffemodel import BlobLayer
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core import checkpoint
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.layer import PARAM_SUFFIXES, Layer, without
from fullconv.lib.utils import atomic

logger = logging.getLogger(__name__)

Params = Dict[str, np.ndarray]


def load_network(path: str, phase: str = "TEST", crop: str = ALIGNED) -> List[Layer]:
    """Rows of the network in a prototxt of any generation; `read_network` without the shapes."""
    return read_network(path, phase, crop).layers


def read_network(path: str, phase: str = "TEST", crop: str = ALIGNED) -> Network:
    """Rows of the network in a prototxt, and the shapes of its inputs as far as it states them.

    phase: TRAIN or TEST. crop: what a Crop without crop_param means, "aligned" or "zero" (BVLC's default).

    Raises:
        FileNotFoundError: no such file.
        ConvertError: damaged, or a layer type, field or value that is not supported; names layer and line.
    """
    message = prototxt.load(path)
    try:
        return read_layers(message, phase, crop)
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None


def load_params(path: str) -> Params:
    """Arrays of a caffemodel, float32, called `<layer>_weight` and `<layer>_bias`, of a BatchNorm `_mean` and `_var`.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: see `lib.convert.caffemodel.read`.
    """
    params: Params = {}
    for layer in caffemodel.read(path):
        if layer.type == "BatchNorm" and len(layer.blobs) == len(STATISTICS):
            params.update(_statistics(path, layer))
            continue
        if len(layer.blobs) > len(PARAM_SUFFIXES):
            raise ConvertError(
                f"{path}: layer {layer.name!r} ({layer.type}) holds {len(layer.blobs)} arrays; layers with more than a "
                "weight and a bias are not supported: merge it into the convolution before it"
            )
        for suffix, blob in zip(PARAM_SUFFIXES, layer.blobs):
            params[f"{layer.name}_{suffix}"] = np.atleast_1d(blob)  # one number for all channels has no axis
    return params


STATISTICS = ("mean", "variance", "factor")
"""Arrays of a BatchNorm in Caffe's files: sums, and what to divide them by (its training adds up and decays all)."""


def _statistics(path: str, layer: BlobLayer) -> Params:
    mean, variance, factor = layer.blobs
    if factor.size != 1 or mean.shape != variance.shape:
        shapes = ", ".join(str(blob.shape) for blob in layer.blobs)
        raise ConvertError(f"{path}: layer {layer.name!r}: a BatchNorm's arrays are (C,), (C,), (1,); found {shapes}")
    # 0 is how Caffe saves one that was never trained, and it then reads all zeros.
    share = np.float32(0 if factor.ravel()[0] == 0 else 1 / factor.ravel()[0])
    return {f"{layer.name}_mean": mean * share, f"{layer.name}_var": variance * share}


TRANSPLANT = "lib.convert.surgery.transplant copies what fits and turns fully connected layers into convolutions"


def match(
    params: Mapping[str, Any],
    expected: Mapping[str, tuple],
    source: str,
    allow_unexpected: Iterable[str] = (),
    remedy: str = TRANSPLANT,
) -> Dict[str, Any]:
    """`params` if they are exactly what a network expects (name -> shape).

    Raises:
        ConvertError: lists everything that is missing, unexpected or of another shape, and the remedy.
    """
    try:
        return match_params(expected, params, {}, allow_unexpected=allow_unexpected, source=source)[0]
    except ValueError as error:
        raise ConvertError(f"{error}\n  {remedy}") from None


def load(
    prototxt_path: str, caffemodel_path: str, size: Optional[Tuple[int, int]] = None, crop: str = ALIGNED
) -> Tuple[List[Layer], Params]:
    """(rows, params) of a network with its weights, checked against each other.

    A training prototxt does as well as a deploy one: its losses and the labels only they read are left out. size:
    (height, width) of the images instead of what the file states; weights of fully connected layers belong to one.
    crop: see `read_network`.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: either file is damaged or not supported, or they do not fit together.
    """
    network = read_network(prototxt_path, crop=crop)
    params = load_params(caffemodel_path)
    layers = _with_channels(_deployed(network.layers), params)
    shapes, assumed = _input_shapes(layers, network.shapes, size)
    at = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    reason = "assumed, as the prototxt states no size" if assumed else "as stated"
    remedy = f"read for {at} ({reason}); another size of image is stated with --size HEIGHT WIDTH (size=)"
    try:
        expected = param_shapes(layers, shapes)
    except ConvertError as error:
        raise ConvertError(f"{prototxt_path}: {error}\n  {remedy}") from None
    params = _of_layers(params, network.layers)
    return layers, match(params, expected, caffemodel_path, remedy=f"{remedy};\n  {TRANSPLANT}")


def _of_layers(params: Params, layers: Sequence[Layer]) -> Params:
    """Without arrays of layers that the prototxt does not have, which Caffe ignores too: heads of the training."""
    named = {layer.name for layer in layers}
    others = {name.rsplit("_", 1)[0] for name in params} - named
    if others:
        logger.info("left out, as the prototxt has no such layers: %s", ", ".join(sorted(others)))
    return {name: array for name, array in params.items() if name.rsplit("_", 1)[0] in named}


def _deployed(layers: Sequence[Layer]) -> List[Layer]:
    """Without losses, and without inputs that only these or nobody read."""
    ends = [layer.name for layer in layers if layer.type in LOSSES]
    if ends:
        logger.info("left out, as only training needs them: %s", ", ".join(ends))
    kept = without(layers, *LOSSES)
    read = {blob for layer in without(kept, "Silence") for blob in layer.bottoms}
    unread = {layer.top for layer in kept if layer.type == "Input" and layer.top not in read}
    found = []
    for layer in kept:
        # What it silenced may be an input that is gone; with nothing left it goes itself.
        if layer.type == "Silence":
            layer = layer._replace(bottoms=tuple(blob for blob in layer.bottoms if blob not in unread))
        if layer.bottoms or (layer.type == "Input" and layer.top not in unread):
            found.append(layer)
    return found


def _with_channels(layers: Sequence[Layer], params: Params) -> List[Layer]:
    """Inputs of unknown channels get those that the weights of the first convolution of them take."""
    found = []
    for layer in layers:
        if layer.type == "Input" and not layer.options["channels"]:
            readers = [row for row in layers if row.type == "Convolution" and layer.top in row.bottoms]
            weights = [(row, params.get(f"{row.name}_weight")) for row in readers[:1]]
            # A group's filters see the channels of their group only.
            counts = [w.shape[1] * row.options["group"] for row, w in weights if w is not None and w.ndim == 4]
            layer = rows.data(layer.name, counts[0] if counts else DEFAULT_CHANNELS)
        found.append(layer)
    return found


DEFAULT_CHANNELS, DEFAULT_SIZE = 3, 224
"""Where neither file nor weights nor caller say: an image as ImageNet's networks take it."""


def _input_shapes(
    layers: Sequence[Layer], stated: Mapping[str, tuple], size: Optional[Tuple[int, int]]
) -> Tuple[Dict[str, tuple], bool]:
    """Shape of every input, and whether a size had to be assumed."""
    shapes, assumed = {}, False
    for name, channels in rows.inputs(layers).items():
        shape = stated.get(name, UNKNOWN)
        if len(shape) == 4:
            # Convolutions do not care; only the weights of fully connected layers belong to one size.
            assumed |= size is None and not all(shape[2:])
            shape = (shape[0], channels or DEFAULT_CHANNELS, *(size or (n or DEFAULT_SIZE for n in shape[2:])))
        shapes[name] = shape
    return shapes, assumed


def symbol(layers: Sequence[Layer]) -> mx.sym.Symbol:
    """All blobs that no later layer reads or silences, as one symbol."""
    blobs = compose(layers)
    # A layer that works in place reads its own top, which is an output all the same. "" is the top of a Silence.
    read = {blob for layer in layers for blob in layer.bottoms if layer.top != blob} | {""}
    return mx.sym.Group([blobs[top] for top in dict.fromkeys(layer.top for layer in layers) if top not in read])


def param_shapes(layers: Sequence[Layer], shapes: Optional[Mapping[str, tuple]] = None) -> Dict[str, tuple]:
    """Shape of every parameter, for inputs of these shapes (height and width matter to fully connected layers only).

    Raises:
        ConvertError: the layers do not fit together.
    """
    try:
        return expected_shapes(symbol(layers), **(shapes or _input_shapes(layers, {}, None)[0]))
    except (mx.base.MXNetError, ValueError) as error:
        raise ConvertError(f"the layers do not fit together: {_first_reason(str(error))}") from None


def _first_reason(text: str) -> str:
    """The line of an MXNet error that says why: the last one, unless a stack trace ends it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith(("[bt]", "Stack trace"))), text)[:500]


def export(
    layers: Sequence[Layer], params: Mapping[str, Any], prefix: str, shapes: Mapping[str, Sequence[int]]
) -> List[str]:
    """Write `<prefix>.prototxt` and `<prefix>.caffemodel`; returns the two paths.

    layers: without losses and dropout. params: NDArrays or numpy arrays by name. shapes: (N, C, H, W) of every input,
    as an example: Caffe and OpenCV take other sizes too.

    Raises:
        ConvertError: an array is missing, of another shape or not finite, or the disk is full. Nothing is then left
            half-written.
    """
    arrays = {name: _numpy(value) for name, value in params.items()}
    expected = param_shapes(layers, {name: tuple(shape) for name, shape in shapes.items()})
    arrays = match(arrays, expected, "parameters")
    text = prototxt.dump(write_layers(layers, shapes, os.path.basename(prefix)))
    paths = [f"{prefix}.prototxt", f"{prefix}.caffemodel"]
    os.makedirs(os.path.dirname(os.path.abspath(prefix)), exist_ok=True)
    blobs = [
        BlobLayer(layer.name, written_type(layer), _blobs(layer, arrays), layer.bottoms, (layer.top,))
        for layer in layers
    ]
    # The weights first: they are what may fill the disk, and a prototxt alone would look like an export.
    caffemodel.write(paths[1], blobs, os.path.basename(prefix))
    try:
        atomic.write_text(paths[0], text)
    except OSError as error:
        raise ConvertError(f"{paths[0]}: cannot be written: {error.strerror}; nothing was left behind") from None
    return paths


def _blobs(layer: Layer, arrays: Mapping[str, np.ndarray]) -> Tuple[np.ndarray, ...]:
    blobs = tuple(arrays[name] for name in layer.array_names())
    # Our statistics are divided already, so the factor is 1.
    return (*blobs, np.ones(1, np.float32)) if layer.type == "StoredNorm" else blobs


def _numpy(value: Any) -> np.ndarray:
    return value.asnumpy() if isinstance(value, mx.nd.NDArray) else np.asarray(value)


# ------------------------------------------------------------------------------------------- command line


def describe(path: str, crop: str = ALIGNED) -> str:
    """One line a layer of a caffemodel or a prototxt."""
    if path.endswith("prototxt"):
        layers = load_network(path, crop=crop)
        lines = [f"{x.name:24} {x.type:16} {', '.join(x.bottoms)} -> {x.top}  {x.options}" for x in layers]
    else:
        blobs = caffemodel.read(path)
        lines = [f"{x.name:24} {x.type:16} {'  '.join(str(blob.shape) for blob in x.blobs)}" for x in blobs]
        lines.append(f"{sum(blob.size for x in blobs for blob in x.blobs)} parameters")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fullconv.lib.convert.caffe", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="list the layers of a .caffemodel or .prototxt")
    show.add_argument("file")
    load_command = commands.add_parser("import", help="write <prefix>-0000.params and <prefix>-symbol.json")
    for option in ("--prototxt", "--caffemodel", "--prefix"):
        load_command.add_argument(option, required=True)
    load_command.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of the images, if not what the prototxt states"
    )
    for command in (show, load_command):
        command.add_argument(
            "--crop-offset",
            choices=(ALIGNED, ZERO),
            default=ALIGNED,
            help="of a Crop without crop_param: what aligns its blobs (default), or 0 as in BVLC's Caffe",
        )
    return parser


def main(argv: Sequence[str] = ()) -> int:
    """Command line; errors are one line on stderr and exit code 1."""
    args = _parser().parse_args(argv or None)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if args.command == "show":
            print(describe(args.file, args.crop_offset))
        else:
            layers, params = load(args.prototxt, args.caffemodel, args.size, args.crop_offset)
            print(checkpoint.save_params(args.prefix, 0, symbol(layers), params, {}))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
