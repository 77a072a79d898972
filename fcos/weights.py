"""What training starts from, and how a trained model is read: files of the original and our own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Dict, Mapping, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.fcos.initial import initial
from fullconv.lib.convert import detectron, weights
from fullconv.lib.convert.state_dict import CLASSES, fit
from fullconv.lib.core.params_file import CheckpointError

Arrays = Dict[str, mx.nd.NDArray]
Shapes = Mapping[str, Tuple[int, ...]]

CLASS_UNITS = CLASSES
"""The arrays whose first axis tells a model's class count (`match_params`)."""

HEAD = "rpn.head."
HRNET_UNUSED = ("incre_modules.*", "downsamp_modules.*", "final_layer.*")
BODY_UNUSED = (*detectron.UNUSED, "features.18.*", "classifier.*", "fc.*", *HRNET_UNUSED, "level[34].project.*")
"""What files of an ImageNet network have and its convolutions do not: the classifier, what stands in front of it, and
two projections of DLA that it never uses."""


class Start(NamedTuple):
    """Where weights come from. path: a file; "" starts from nothing. leave_out: patterns of arrays that keep their
    initial values. stage_with_dcn: of c2 to c5, which are deformable. prior: class probability to start with.
    """

    path: str = ""
    leave_out: Sequence[str] = ()
    stage_with_dcn: Sequence[bool] = (False,) * 4
    prior: float = 0.01


def weight_path(weight: str, folder: str) -> str:
    """The file that MODEL.WEIGHT names: the file itself, or for `catalog://...` and `http...` its name in `folder`.

    Raises CheckpointError: it is not there. Nothing is fetched.
    """
    if not weight:
        return ""
    remote = weight.startswith(("catalog://", "http://", "https://"))
    name = os.path.basename(weight)
    # The catalogue names models without an ending; they are Detectron's.
    path = str(Path(folder) / (name if name.endswith((".pkl", ".pth")) else f"{name}.pkl")) if remote else weight
    if not os.path.isfile(path):
        origin = f" It stands for {weight}: fetch that." if remote else ""
        raise CheckpointError(
            f"{path}: no such file.{origin} Put the model there (experiments/fcos/README.md, Weights), name another "
            "with --set MODEL.WEIGHT FILE, or train from scratch with --set MODEL.WEIGHT '' MODEL.BACKBONE.USE_GN true "
            "MODEL.BACKBONE.FREEZE_CONV_BODY_AT 0"
        )
    return path


def load_model(shapes: Shapes, path: str) -> Arrays:
    """A whole trained model, from any form of file that `lib.convert.weights` reads.

    Raises CheckpointError: lists every array that is missing, left over, or of another shape.
    """
    return _nd(fit(shapes, weights.read(path), source=path).params)


def start_weights(
    shapes: Shapes, start: Start, rng: np.random.RandomState, log: Callable[[str], None] = print
) -> Arrays:
    """Every array of the network by name: those of `start.path`, an ImageNet network or a whole FCOS; the rest as
    the original begins.

    Raises CheckpointError: a file that lacks an array it should have, or has one that nothing is known of.
    """
    found = _from_file(shapes, start) if start.path else {}
    # In the order of names, so that the numbers do not depend on how the graph was put together.
    fresh = {name: initial(name, shapes[name], start.prior, rng) for name in sorted(shapes)}
    kept = sum(name not in found for name in shapes)
    log(f"start: {len(found)} arrays from {start.path or 'no file'}, {kept} as the original begins")
    return _nd({**fresh, **found})


def _from_file(shapes: Shapes, start: Start) -> Dict[str, np.ndarray]:
    state = weights.read(start.path, start.stage_with_dcn)
    whole = any(HEAD in name for name in state)
    missing, unused = ((), ()) if whole else (detectron.STAYS, BODY_UNUSED)
    return fit(shapes, state, start.leave_out, missing, unused, start.path).params


def _nd(arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {name: mx.nd.array(array, dtype="float32") for name, array in arrays.items()}
