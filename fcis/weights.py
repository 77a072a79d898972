"""What training starts from: a pretrained backbone, a whole FCIS model, or random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Mapping, NamedTuple, Tuple

import mxnet as mx
import numpy as np

from fullconv.fcis.symbols.fcis import GROUP, NEW_LAYERS
from fullconv.lib.core import checkpoint
from fullconv.lib.core.matching import match_params

Arrays = Dict[str, mx.nd.NDArray]
CLASS_UNITS = {"fcis_cls_seg_weight": ("classes", 2 * GROUP * GROUP)}
"""The array whose first axis tells a checkpoint's class count, and its channels per class (`match_params`)."""

OUTPUT_LAYERS = ("rpn_cls_score", "rpn_bbox_pred", "fcis_cls_seg", "fcis_bbox")


class Start(NamedTuple):
    """Where weights come from. pretrained, epoch: prefix and number of a checkpoint; prefix "" starts from nothing.
    normalised: whether the backbone learns its normalisation, so that all its layers may start alike.
    """

    pretrained: str
    epoch: int = 0
    normalised: bool = False


def start_weights(
    shapes: Mapping[str, Tuple[int, ...]],
    start: Start,
    rng: np.random.RandomState,
    log: Callable[[str], None] = print,
) -> Arrays:
    """Every array of the network by name, those of `start.pretrained` from its file and the rest random.

    New layers: normal(0, 0.01) weights, zero biases (original). Without a pretrained file all but the output layers are
    normal with variance 2 / fan-in (He et al. 2015), so that the gradient reaches them. Draws are NumPy's: MXNet's
    numbers depend on the devices.
    """
    arrays = pretrained(shapes, start) if start.pretrained else {}
    # Sorted, so that what an array gets follows from the names and the seed alone.
    fresh = sorted(set(shapes) - set(arrays))
    taken = f"{len(arrays)} arrays from {start.pretrained}, " if arrays else ""
    log(f"start: {taken}{len(fresh)} arrays random ({', '.join(sorted({layer_of(name) for name in fresh})[:8])} ...)")
    for name in fresh:
        arrays[name] = random_array(name, shapes[name], start, rng)
    return arrays


def layer_of(name: str) -> str:
    """`fcis_bbox` of `fcis_bbox_weight`."""
    return name.rsplit("_", 1)[0]


def is_new(name: str) -> bool:
    """Whether an array belongs to a layer that an ImageNet model does not have."""
    return layer_of(name) in NEW_LAYERS


def random_array(name: str, shape: Tuple[int, ...], start: Start, rng: np.random.RandomState) -> mx.nd.NDArray:
    """First values of one array."""
    array = mx.nd.zeros(shape)
    if name.endswith("_weight"):
        # From nothing, only the output layers start small: 0.01 everywhere would let neither signal nor gradient
        # through.
        small = is_new(name) if start.pretrained else layer_of(name) in OUTPUT_LAYERS
        array[:] = rng.normal(0, 0.01 if small else np.sqrt(2 / np.prod(shape[1:])), shape)
    elif name.endswith(("_gamma", "_moving_var")):
        array[:] = 1.0 if start.normalised else unnormalised_start(name)
    return array


def unnormalised_start(name: str) -> float:
    """Gamma or variance of a fixed BatchNorm in a network without weights: keeps activations near 1 at any depth.

    Pixels less their mean are about 70 in size, so the first variance is 1e4; blocks start as identities (gamma 0 at
    their ends, Goyal et al. 2017), or each would double the variance.
    """
    if name == "bn_conv1_moving_var":
        return 1e4
    return 0.0 if name.endswith("branch2c_gamma") else 1.0


def pretrained(shapes: Mapping[str, Tuple[int, ...]], start: Start) -> Arrays:
    """The arrays of `start.pretrained` that this network has.

    The backbone must be complete. Heads are taken too where the file has them in the right shape, so that a trained
    FCIS can be fine-tuned; class layers of another number of classes start anew. Raises CheckpointError otherwise.
    """
    path = checkpoint.params_path(start.pretrained, start.epoch)
    if not Path(path).is_file():
        raise checkpoint.CheckpointError(
            f"{path}: no such file. Put the ImageNet model there (README, Pretrained and published models), name "
            "another with --set network.pretrained PREFIX network.pretrained_epoch N, or train from scratch with "
            "--set network.pretrained '' network.FIXED_PARAMS [] network.GN_CHANNELS 1"
        )
    args, aux = checkpoint.load_params(start.pretrained, start.epoch)
    backbone = {name: shape for name, shape in shapes.items() if not is_new(name)}
    # Unexpected are the classifier of an ImageNet model and heads that are taken below.
    found = match_params(backbone, args, aux, allow_unexpected=True, units=CLASS_UNITS, source=path)
    # Shapes are compared, not names alone: class layers of another count start anew.
    heads = {n: a for n, a in args.items() if is_new(n) and tuple(shapes.get(n, ())) == tuple(a.shape)}
    return {**found[0], **found[1], **heads}
