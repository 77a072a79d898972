"""The head of FCOS (Tian et al., ICCV 2019, section 3): one, applied to every level of the pyramid.

Names are those of the published files, the last dot an underscore (`lib.convert.state_dict`).
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence

import mxnet as mx

from fullconv.fcos.symbols.spec import HeadSpec, level_name
from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.deformable import NUMBERS, convolve_at
from fullconv.lib.operators.group_norm import group_norm

GROUPS = 32
"""Of the towers' GroupNorm, whatever their width (original)."""

MODULES = 3
"""A tower counts convolution, normalisation and ReLU: its convolutions have numbers 0, 3, 6, ..."""


class LevelOutputs(NamedTuple):
    """What the head says at each location of one level."""

    logits: mx.sym.Symbol  # (N, classes, h, w), before the sigmoid
    boxes: mx.sym.Symbol  # (N, 4, h, w), distances l, t, r, b to the sides, in strides or in pixels
    centerness: mx.sym.Symbol  # (N, 1, h, w), before the sigmoid


class Head:
    """A head on maps of `channels` channels; its variables are made once, however many levels it is put on."""

    def __init__(self, spec: HeadSpec, channels: int) -> None:
        self.spec, self.channels = spec, channels
        self._variables: Dict[str, mx.sym.Symbol] = {}
        self._levels: List[str] = []

    def __call__(self, levels: Sequence[FeatureMap]) -> List[LevelOutputs]:
        """The outputs at each level; boxes of a head with normalised targets are in strides of the level."""
        self._levels = [level_name(level.stride) for level in levels]
        return [self._at(number, level.symbol) for number, level in enumerate(levels)]

    def _at(self, level: int, data: mx.sym.Symbol) -> LevelOutputs:
        data, convs = self._tower("share_tower", data, level, self.spec.shared), self.spec.convs
        classes, boxes = (self._tower(f"{kind}_tower", data, level, convs) for kind in ("cls", "bbox"))
        distances = self._convolution("bbox_pred", boxes, 4, level)
        scale = mx.sym.Reshape(self._variable(f"scales.{level}_scale", shape=(1,)), shape=(1, 1, 1, 1))
        distances = mx.sym.broadcast_mul(distances, scale)
        return LevelOutputs(
            self._convolution("cls_logits", classes, self.spec.classes, level),
            mx.sym.relu(distances) if self.spec.normalised else mx.sym.exp(distances),
            self._convolution("centerness", boxes if self.spec.centerness_on_boxes else classes, 1, level),
        )

    def _tower(self, tower: str, data: mx.sym.Symbol, level: int, convs: int) -> mx.sym.Symbol:
        for number in range(convs):
            name, last = f"{tower}.{MODULES * number}", number == convs - 1
            convolve = self._deformed if last and self.spec.deformable else self._convolution
            data = convolve(name, data, self.channels, level)
            norm = f"{tower}.{MODULES * number + 1}"
            gamma, beta = (self._variable(f"{norm}_{part}", shape=(self.channels,)) for part in ("weight", "bias"))
            data = group_norm(data, GROUPS, gamma=gamma, beta=beta, act="relu", name=self._node(norm, level))
        return data

    def _convolution(self, name: str, data: mx.sym.Symbol, channels: int, level: int) -> mx.sym.Symbol:
        weight, bias = self._variable(f"{name}_weight"), self._variable(f"{name}_bias")
        size = {"kernel": (3, 3), "pad": (1, 1), "num_filter": channels}
        return mx.sym.Convolution(data, weight, bias, name=self._node(name, level), **size)

    def _deformed(self, name: str, data: mx.sym.Symbol, channels: int, level: int) -> mx.sym.Symbol:
        """Always version 2: WITH_MODULATED_DCN is about the backbone (original)."""
        places = self._convolution(f"{name}.offset", data, NUMBERS[2], level)
        weight = self._variable(f"{name}.conv_weight", shape=(channels, channels, 3, 3))
        bias = self._variable(f"{name}.conv_bias", shape=(channels,))
        node = self._node(f"{name}.conv", level)
        return convolve_at(data, places, node, 2, channels, no_bias=False, weight=weight, bias=bias)

    def _variable(self, name: str, **options: object) -> mx.sym.Symbol:
        # Two variables of one name would be two arrays to MXNet.
        if name not in self._variables:
            self._variables[name] = mx.sym.Variable(self.spec.prefix + name, **options)
        return self._variables[name]

    def _node(self, name: str, level: int) -> str:
        return f"{self.spec.prefix}{name}.{self._levels[level]}"
