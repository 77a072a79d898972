"""Weights to start from."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np

from fullconv.fcn.symbols.fcn import FCN
from fullconv.fcn.symbols.networks import NETWORKS
from fullconv.fcn.symbols.width import trunk_channels, width_of
from fullconv.lib.convert.surgery import upsample_filt
from fullconv.lib.network.caffe.layer import Layer

LEAST_PASSED_ON = 4
"""Input channels from which on a normalised convolution passes them on; colours are mixed from the start."""


def initial_params(network: FCN, seed: int = 0) -> Dict[str, np.ndarray]:
    """Float32 arrays of every parameter by name, before any pretrained weights are put in.

    As published: scores start at zero, upsampling is bilinear from class to same class, skip scales are their
    constants. The trunk, which the published trainings always take from ImageNet, gets normal numbers of variance
    2/fan_in (He et al., ICCV 2015) and zero biases, so that it can also learn from nothing. With normalisation these
    are halved, and every output channel passes one input channel on (Zagoruyko and Komodakis, "DiracNets", 2017): so
    deep a stack without shortcuts learns much sooner that way.
    """
    rng = np.random.RandomState(seed)
    shapes = network.param_shapes()
    params = {}
    for layer in network.layers:
        for name in layer.array_names():
            params[name] = _array(layer, name, shapes[name], rng, network.norm).astype(np.float32)
    return params


def _array(layer: Layer, name: str, shape: tuple, rng: np.random.RandomState, norm: bool) -> np.ndarray:
    if "value" in layer.options and name.endswith("_weight"):
        return np.full(shape, layer.options["value"])
    array = np.zeros(shape)
    if layer.type == "Deconvolution":
        # No groups in the published files: a full array that is zero between classes.
        array[np.arange(shape[0]), np.arange(shape[0])] = upsample_filt(shape[-1])
    # Scores start at zero because the prototxts give them no filler, and Caffe's default is the constant 0.
    elif name.endswith("_weight") and not layer.name.startswith("score"):
        array = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        if norm and shape[1] >= LEAST_PASSED_ON:
            array /= 2
            array += _passing_on(shape)
    return array


def _passing_on(shape: tuple) -> np.ndarray:
    """Weights whose output channel i is input channel i, counted anew when these are used up: the place in the middle,
    or, as fc6 sees maps of few places, the mean of nine."""
    size = shape[-1]
    kernel = np.zeros((size, size))
    ends = (size // 2, size // 2 + 1) if size < 7 else (2, 5)
    kernel[slice(*ends), slice(*ends)] = 1 / (ends[1] - ends[0]) ** 2
    array = np.zeros(shape)
    array[np.arange(shape[0]), np.arange(shape[0]) % shape[1]] = kernel
    return array


def initial_statistics(network: FCN) -> Dict[str, np.ndarray]:
    """Float32 running averages of every BatchNorm by name: mean 0, variance 1."""
    shapes = network.param_shapes()
    learned = {name for layer in network.layers for name in layer.array_names()}
    return {n: np.full(shape, n.endswith("_var"), np.float32) for n, shape in shapes.items() if n not in learned}


def network_of(name: str, params: Mapping[str, Any], dropout: float = 0.5) -> FCN:
    """The network called `name` with the class counts and widths that `params` have.

    params: arrays (anything with a shape) by name; only shapes are looked at.

    Raises:
        KeyError: no such network.
        ValueError: arrays that tell the sizes are absent, so these are another network's parameters.
    """
    network = NETWORKS[name]
    scores = [f"score_fr{s}_weight" for s in (h.suffix or network.streams[0] for h in network.heads)]
    first = f"{'conv1' if network.trunk == 'alexnet' else network.first}{network.streams[0]}_weight"
    hidden = f"fc6{network.streams[0]}_weight"
    absent = [array for array in (*scores, first, hidden) if array not in params]
    if absent:
        raise ValueError(f"these are not the parameters of {name}: {', '.join(absent)} is absent")
    classes = [params[score].shape[0] for score in scores]
    # What is missing besides is told with all else that does not fit, when the arrays are matched.
    layers = [layer for layer in trunk_channels(network, 1.0) if f"{layer}_weight" in params]
    try:
        width = width_of(network, {layer: params[f"{layer}_weight"].shape[0] for layer in layers})
    except ValueError as error:
        raise ValueError(f"these are not the parameters of {name}: {error}") from None
    norm = f"{first.rsplit('_', 1)[0]}_norm_weight" in params
    return FCN(network, classes, width, params[hidden].shape[0], dropout, norm)
