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
import os
import sys
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.convert import caffemodel, prototxt
from fullconv.lib.convert.caffe_layers import read_layers
from fullconv.lib.convert.caffe_writer import write_layers
from fullconv.lib.convert.caffemodel import BlobLayer
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core import checkpoint
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.layer import PARAM_SUFFIXES, Layer, inputs, without
from fullconv.lib.utils import atomic

Params = Dict[str, np.ndarray]


def load_network(path: str, phase: str = "TEST") -> List[Layer]:
    """Rows of the network in a prototxt, either generation.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: damaged, or a layer type, field or value that is not supported; names layer and line.
    """
    message = prototxt.load(path)
    try:
        return read_layers(message, phase)
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None


def load_params(path: str) -> Params:
    """Arrays of a caffemodel, float32, called `<layer>_weight` and `<layer>_bias`.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: see `lib.convert.caffemodel.read`.
    """
    params: Params = {}
    for layer in caffemodel.read(path):
        if len(layer.blobs) > len(PARAM_SUFFIXES):
            raise ConvertError(
                f"{path}: layer {layer.name!r} ({layer.type}) holds {len(layer.blobs)} arrays; layers with more than a "
                "weight and a bias are not supported: merge it into the convolution before it"
            )
        for suffix, blob in zip(PARAM_SUFFIXES, layer.blobs):
            params[f"{layer.name}_{suffix}"] = blob
    return params


def match(
    params: Mapping[str, Any], expected: Mapping[str, tuple], source: str, allow_unexpected: Iterable[str] = ()
) -> Dict[str, Any]:
    """`params` if they are exactly what a network expects (name -> shape).

    Raises:
        ConvertError: lists everything that is missing, unexpected or of another shape, and the remedy.
    """
    try:
        return match_params(expected, params, {}, allow_unexpected=allow_unexpected, source=source)[0]
    except ValueError as error:
        remedy = "lib.convert.surgery.transplant copies what fits and turns fully connected layers into convolutions"
        raise ConvertError(f"{error}\n  {remedy}") from None


def load(prototxt_path: str, caffemodel_path: str) -> Tuple[List[Layer], Params]:
    """(rows, params) of a network with its weights, checked against each other.

    A training prototxt does as well as a deploy one: its losses and the labels only they read are left out.
    """
    layers = without(load_network(prototxt_path), "SoftmaxWithLoss")
    read = {blob for layer in layers for blob in layer.bottoms}
    layers = [layer for layer in layers if layer.type != "Input" or layer.top in read]
    return layers, match(load_params(caffemodel_path), param_shapes(layers), caffemodel_path)


def symbol(layers: Sequence[Layer]) -> mx.sym.Symbol:
    """All blobs that no later layer reads, as one symbol."""
    blobs = compose(layers)
    read = {blob for layer in layers for blob in layer.bottoms if layer.top != blob}
    return mx.sym.Group([blobs[top] for top in dict.fromkeys(layer.top for layer in layers) if top not in read])


def param_shapes(layers: Sequence[Layer], size: int = 224) -> Dict[str, tuple]:
    """Shape of every parameter, for images of `size` (it matters to fully connected layers only)."""
    shapes = {name: (1, channels or 3, size, size) for name, channels in inputs(layers).items()}
    try:
        return expected_shapes(symbol(layers), **shapes)
    except mx.base.MXNetError as error:
        raise ConvertError(f"the layers do not fit together: {str(error).splitlines()[-1]}") from None


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
    expected = expected_shapes(symbol(layers), **{name: tuple(shape) for name, shape in shapes.items()})
    arrays = match(arrays, expected, "parameters")
    text = prototxt.dump(write_layers(layers, shapes, os.path.basename(prefix)))
    paths = [f"{prefix}.prototxt", f"{prefix}.caffemodel"]
    os.makedirs(os.path.dirname(os.path.abspath(prefix)), exist_ok=True)
    blobs = [
        BlobLayer(layer.name, layer.type, tuple(arrays[n] for n in layer.array_names()), layer.bottoms, (layer.top,))
        for layer in layers
    ]
    caffemodel.write(paths[1], blobs, os.path.basename(prefix))
    try:
        atomic.write_text(paths[0], text)
    except OSError as error:
        raise ConvertError(f"{paths[0]}: cannot be written: {error.strerror}; nothing was left behind") from None
    return paths


def _numpy(value: Any) -> np.ndarray:
    return value.asnumpy() if isinstance(value, mx.nd.NDArray) else np.asarray(value)


# ------------------------------------------------------------------------------------------- command line


def describe(path: str) -> str:
    """One line a layer of a caffemodel or a prototxt."""
    if path.endswith("prototxt"):
        lines = [f"{x.name:24} {x.type:16} {', '.join(x.bottoms)} -> {x.top}  {x.options}" for x in load_network(path)]
    else:
        layers = caffemodel.read(path)
        lines = [f"{x.name:24} {x.type:16} {'  '.join(str(blob.shape) for blob in x.blobs)}" for x in layers]
        lines.append(f"{sum(blob.size for x in layers for blob in x.blobs)} parameters")
    return "\n".join(lines)


def main(argv: Sequence[str] = ()) -> int:
    """Command line; errors are one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m fullconv.lib.convert.caffe", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="list the layers of a .caffemodel or .prototxt")
    show.add_argument("file")
    load_command = commands.add_parser("import", help="write <prefix>-0000.params and <prefix>-symbol.json")
    for option in ("--prototxt", "--caffemodel", "--prefix"):
        load_command.add_argument(option, required=True)
    args = parser.parse_args(argv or None)
    try:
        if args.command == "show":
            print(describe(args.file))
        else:
            layers, params = load(args.prototxt, args.caffemodel)
            print(checkpoint.save_params(args.prefix, 0, symbol(layers), params, {}))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
