"""Detectron's ImageNet models (`R-50.pkl`, `R-101.pkl`, `X-101-32x8d.pkl`, `X-101-64x4d.pkl`) by the names of FCOS.

The files are pickles of Caffe2 blobs: convolution weights (O, I, h, w), and for every batch norm a scale and a shift
with mean and variance folded in, so that a network's running mean 0 and variance 1 stay as they are. The weights expect
BGR images, 0 to 255, minus the mean, divided by nothing. Names and renaming as the original FCOS has them.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from fullconv.lib.convert import unpickler
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.mapped import instead, open_mapped
from fullconv.lib.convert.pickle_limits import PickleError
from fullconv.lib.convert.pickled_arrays import NUMPY, PLAIN

STAYS = ("backbone.fpn.*", "rpn.*", "*_running_mean", "*_running_var", "*.offset_*")
"""Patterns of arrays of an FCOS network that no such file has: for `allow_missing` of `state_dict.fit`."""

UNUSED = ("fc1000_*", "pred_*", "*conv?.bias", "*.conv2.conv.bias", "*.downsample.0.bias")
"""Patterns of arrays such a file has and FCOS does not: the classifier and zero biases before batch norms."""

BRANCHES = {
    "1": ("downsample.0", "downsample.1"),
    "2a": ("conv1", "bn1"),
    "2b": ("conv2", "bn2"),
    "2c": ("conv3", "bn3"),
}
PARTS = {"w": "weight", "s": "weight", "b": "bias"}
STEM = {
    "conv1_w": "conv1.weight",
    "conv1_b": "conv1.bias",
    "res_conv1_bn_s": "bn1.weight",
    "res_conv1_bn_b": "bn1.bias",
}
BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2a|2b|2c)_(bn_)?([wsb])")


def read(path: str) -> Dict[str, np.ndarray]:
    """Blobs by Caffe2 name, without the momenta.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: foreign, damaged, asking for more than arrays, or not a dict of arrays.
    """
    data = open_mapped(path)
    try:
        if data[:1] not in (b"\x80", b"(", b"}"):  # protocol 2 and later, and 0 and 1
            raise PickleError(instead(data))
        value, _ = unpickler.load(data, {**PLAIN, **NUMPY})
        return _blobs(value)
    except PickleError as error:
        raise ConvertError(f"{path}: no Detectron model that can be read: {error}; fetch the file again") from None


def _blobs(value: Any) -> Dict[str, np.ndarray]:
    blobs = value.get("blobs", value) if type(value) is dict else value
    # A PyTorch file begins with the pickle of its magic number.
    if type(blobs) is int:
        raise PickleError("this is a PyTorch file: let its name end in .pth")
    if type(blobs) is not dict or not blobs:
        raise PickleError("it holds no dict of arrays")
    kept = {name: blob for name, blob in blobs.items() if not _is_state(name)}
    wrong = [name for name, blob in kept.items() if not isinstance(name, str) or not isinstance(blob, np.ndarray)]
    if wrong:
        raise PickleError(f"{str(wrong[0])[:100]!r} is no array; only Detectron's own files are read, not Detectron2's")
    # Plain arrays, without what they were read by.
    return {name: np.asarray(blob) for name, blob in kept.items()}


def _is_state(name: Any) -> bool:
    return name == "weight_order" or str(name).endswith("_momentum")


def rename(blobs: Mapping[str, np.ndarray], stage_with_dcn: Sequence[bool] = (False,) * 4) -> Dict[str, np.ndarray]:
    """The arrays by `state_dict` name, as far as FCOS has a name for them; others (`fc1000_w`) keep their own.

    stage_with_dcn: for c2 to c5, whether the 3x3 convolutions of the stage are deformable; theirs are `conv2.conv`.
    """
    return {_name(blob, stage_with_dcn): array for blob, array in blobs.items()}


def _name(blob: str, stage_with_dcn: Sequence[bool]) -> str:
    found = BLOCK.fullmatch(blob)
    if not found:
        return STEM.get(blob, blob)
    stage, block, branch, norm, part = found.groups()
    layer = BRANCHES[branch][1 if norm else 0]
    # A deformable convolution keeps the trained weights; only the one that finds its offsets is new.
    if layer == "conv2" and stage_with_dcn[int(stage) - 2]:
        layer = "conv2.conv"
    return f"layer{int(stage) - 1}.{block}.{layer}.{PARTS[part]}"
