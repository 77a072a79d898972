"""Net surgery: start one network from the weights of another.

Parameters are dicts of numpy arrays by name (`conv1_1_weight`). Every function returns a new dict and changes nothing;
the rules are those of the published training scripts, except that nothing is ever filled by repetition or truncation.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Tuple

import numpy as np

from fullconv.lib.convert.errors import ConvertError

Params = Dict[str, np.ndarray]
_BLOBS = ("weight", "bias")


def upsample_filt(size: int) -> np.ndarray:
    """Bilinear upsampling kernel (size, size), float64, of a deconvolution with stride (size + 1) // 2."""
    factor = (size + 1) // 2
    # The middle of the kernel: a pixel, or for even sizes between two.
    center = factor - 1 if size % 2 else factor - 0.5
    ramp = 1 - np.abs(np.arange(size) - center) / factor
    return np.outer(ramp, ramp)


def interp(params: Mapping[str, np.ndarray], layers: Iterable[str] = ()) -> Params:
    """Make deconvolutions bilinear: weight (C, C, k, k) or, grouped, (C, 1, k, k) gets the kernel on the diagonal.

    layers: names; every layer with "up" in its name when not given. Entries off the diagonal stay as they are.

    Raises:
        ConvertError: no such layer, or its weight is neither of these shapes.
    """
    result = dict(params)
    names = list(layers) or [name for name in _layers(params) if "up" in name]
    for name in names:
        weight = params.get(f"{name}_weight")
        if weight is None:
            raise ConvertError(f"interp: no layer {name!r}; layers are {', '.join(_layers(params))}")
        # For anything that is no convolution, numbers that fail the check below.
        rows, columns, height, width = weight.shape if weight.ndim == 4 else (0, 2, 0, 1)
        if height != width or columns not in (1, rows):
            raise ConvertError(
                f"interp: layer {name!r} has weight {weight.shape}; (C, C, k, k) or (C, 1, k, k) can be bilinear"
            )
        weight = weight.copy()
        weight[np.arange(rows), np.arange(rows) if columns == rows else 0] = upsample_filt(height)
        result[f"{name}_weight"] = weight
    return result


def transplant(
    new: Mapping[str, np.ndarray], old: Mapping[str, np.ndarray], suffix: str = "", skip: Iterable[str] = ()
) -> Tuple[Params, List[str]]:
    """Copy by layer name from `old` into `new`; returns the parameters and a line of log per array.

    `suffix` is appended to old names. Layers only in `old` are dropped, layers only in `new` stay. Arrays of another
    shape with as many elements are copied in order: a fully connected layer (O, I) becomes a convolution (O, C, h, w).

    Raises:
        ConvertError: arrays of different sizes, all listed; name those layers in `skip` to leave them as they are.
            (The published script repeats or cuts them silently.)
    """
    result, log, misfits = dict(new), [], []
    left_out = set(skip)
    for layer in _layers(old):
        target = layer + suffix
        if not any(f"{target}_{blob}" in new for blob in _BLOBS):
            log.append(f"dropping {layer}")
            continue
        for index, blob in enumerate(_BLOBS):
            source, place = old.get(f"{layer}_{blob}"), f"{target}_{blob}"
            if source is None:
                continue
            if place not in new:
                log.append(f"dropping {layer} {index}")
                continue
            shape = new[place].shape
            change = f"{layer} {index} from {source.shape} to {shape}"
            if layer in left_out or target in left_out:
                log.append(f"skipping {change}")
            elif source.size != new[place].size:
                misfits.append(change)
            else:
                same = source.shape == shape
                log.append(f"copying {layer}  ->  {target} {index}" if same else f"coercing {change}")
                # Row by row, which is how Caffe flattens a map for a fully connected layer.
                result[place] = source.reshape(shape).astype(new[place].dtype)
    if misfits:
        raise ConvertError(
            "transplant: arrays of different sizes:\n  " + "\n  ".join(misfits) + "\n  Pass these layers in `skip`, or "
            "use expand_score for scores of more classes"
        )
    return result, log


def expand_score(
    new: Mapping[str, np.ndarray], new_layer: str, old: Mapping[str, np.ndarray], old_layer: str
) -> Params:
    """Copy the scores of `old_layer`'s classes to the first classes of `new_layer`, which has at least as many.

    Raises:
        ConvertError: a layer is absent, or the input channels or kernels differ.
    """
    result = dict(new)
    for blob in _BLOBS:
        source, target = old.get(f"{old_layer}_{blob}"), new.get(f"{new_layer}_{blob}")
        if source is None or target is None:
            raise ConvertError(f"expand_score: {old_layer}_{blob} or {new_layer}_{blob} is absent")
        if source.shape[1:] != target.shape[1:] or len(source) > len(target):
            raise ConvertError(
                f"expand_score: {old_layer} {blob} {source.shape} does not fit into {new_layer} {target.shape}"
            )
        target = target.copy()
        target[: len(source)] = source
        result[f"{new_layer}_{blob}"] = target
    return result


def add_depth(
    new: Mapping[str, np.ndarray],
    old: Mapping[str, np.ndarray],
    new_layer: str = "conv1_1_bgrd",
    old_layer: str = "conv1_1",
) -> Params:
    """First convolution for colour and depth: weights of `old_layer` for BGR, their mean for depth.

    Raises:
        ConvertError: a layer is absent, or its weight does not have one input channel more.
    """
    result = dict(new)
    names = [f"{layer}_{blob}" for layer in (new_layer, old_layer) for blob in _BLOBS]
    absent = [name for name, params in zip(names, (new, new, old, old)) if name not in params]
    if absent:
        raise ConvertError(f"add_depth: {', '.join(absent)} is absent")
    weight, target = old[f"{old_layer}_weight"], new[f"{new_layer}_weight"]
    expected = (weight.shape[0], weight.shape[1] + 1) + weight.shape[2:]
    if target.shape != expected:
        raise ConvertError(f"add_depth: {new_layer} has weight {target.shape}, {expected} is expected")
    result[f"{new_layer}_weight"] = np.concatenate([weight, weight.mean(axis=1, keepdims=True)], axis=1)
    result[f"{new_layer}_bias"] = old[f"{old_layer}_bias"].copy()
    return result


def join_color_hha(
    new: Mapping[str, np.ndarray], color: Mapping[str, np.ndarray], hha: Mapping[str, np.ndarray]
) -> Tuple[Params, List[str]]:
    """The two-stream network from its two single-stream ones: layers get their stream's suffix, upsampling bilinear."""
    params, log = transplant(new, color, suffix="color")
    params, more = transplant(params, hha, suffix="hha")
    # The streams' own upsampling is dropped, as the joined one has another name.
    return interp(params), log + more


def _layers(params: Mapping[str, np.ndarray]) -> List[str]:
    """Layer names in order of appearance."""
    return list(dict.fromkeys(name.rsplit("_", 1)[0] for name in params if name.endswith(("_weight", "_bias"))))
