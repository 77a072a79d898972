"""What training starts from: an ImageNet backbone, a whole model, or random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Mapping, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.convert.named_params import read_weights
from fullconv.lib.core.matching import match_params
from fullconv.lib.core.params_file import CheckpointError

Arrays = Dict[str, mx.nd.NDArray]
Shapes = Mapping[str, Tuple[int, ...]]


class Start(NamedTuple):
    """path: a `.caffemodel` or one of our `.params` files; "" starts from nothing. new: names of the layers that an
    ImageNet model does not have. outputs: those of them that give results. twins: new layer -> the layer of the file
    that it starts as where the file has none of its name."""

    path: str = ""
    new: Sequence[str] = ()
    outputs: Sequence[str] = ()
    twins: Mapping[str, str] = {}


def start_weights(
    shapes: Shapes, start: Start, rng: np.random.RandomState, log: Callable[[str], None] = print
) -> Arrays:
    """Every array of the network by name: the backbone's, and the heads' where the file has them, from `start.path`,
    the rest random.

    New layers: normal(0, 0.01) weights, zero biases (Dai et al., ECCV 2016, section 3.2). Without a file all but the
    output layers are normal with variance 2 / fan-in (He et al. 2015), so that the gradient reaches them.

    Raises CheckpointError: the file is not there, or lacks an array of the backbone.
    """
    arrays = pretrained(shapes, start) if start.path else {}
    # Sorted, so that what an array gets follows from the names and the seed alone.
    fresh = sorted(set(shapes) - set(arrays))
    log(f"start: {len(arrays)} arrays from {start.path or 'no file'}, {len(fresh)} random")
    for name in fresh:
        arrays[name] = random_array(name, shapes[name], start, rng)
    return arrays


def layer_of(name: str) -> str:
    """`mask_conv` of `mask_conv_weight` and of its normalisation's `mask_conv_norm_gamma`."""
    layer = name.rsplit("_", 1)[0]
    return layer[: -len("_norm")] if layer.endswith("_norm") else layer


def random_array(name: str, shape: Tuple[int, ...], start: Start, rng: np.random.RandomState) -> mx.nd.NDArray:
    """First values of one array."""
    if name.endswith("_weight"):
        small = layer_of(name) in (start.new if start.path else start.outputs)
        return mx.nd.array(rng.normal(0, 0.01 if small else np.sqrt(2 / np.prod(shape[1:])), shape))
    return mx.nd.ones(shape) if name.endswith(("_gamma", "_moving_var")) else mx.nd.zeros(shape)


def pretrained(shapes: Shapes, start: Start) -> Arrays:
    """The arrays of the file that this network has: all of the backbone; heads where names and shapes agree."""
    if not Path(start.path).is_file():
        raise CheckpointError(
            f"{start.path}: no such file. Put the ImageNet model there (experiments/instancefcn/README.md, Weights), "
            "name another with --set network.pretrained FILE, or train from scratch with --set network.pretrained '' "
            "network.FIXED_PARAMS []"
        )
    found = read_weights(start.path)
    heads = {name: shape for name, shape in shapes.items() if layer_of(name) in start.new}
    body = {name: shape for name, shape in shapes.items() if name not in heads}
    # Unexpected are the classifier of an ImageNet model, and heads, which are taken below.
    args, _ = match_params(body, found, {}, allow_unexpected=True, source=start.path)
    for name, shape in heads.items():
        layer, part = layer_of(name), name.rsplit("_", 1)[1]
        for source in (name, f"{start.twins.get(layer, layer)}_{part}"):
            if source in found and found[source].shape == shape:
                args[name] = found[source]
                break
    return {name: mx.nd.array(array, dtype="float32") for name, array in args.items()}
