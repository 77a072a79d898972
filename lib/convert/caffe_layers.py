"""A network in a prototxt, read into rows of `lib.network.caffe.layer`.

Strict: a layer type, a field or a value whose meaning is not carried over is an error that names it, never ignored.
All generations are read: `layers { layer { type: "conv" } }`, `layers { type: CONVOLUTION }` and
`layer { type: "Convolution" }`.
"""

from __future__ import annotations

import logging
from typing import Any, Dict, List, NamedTuple, Tuple

from fullconv.lib.convert import caffe_inputs
from fullconv.lib.convert.caffe_fields import SHOWN, Scope
from fullconv.lib.convert.caffe_inputs import Shape
from fullconv.lib.convert.caffe_readers import READERS, slice_rows
from fullconv.lib.convert.caffe_types import BY_NUMBER, BY_V1_WORD, LOSSES, is_source
from fullconv.lib.convert.caffe_upgrade import upgraded
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.prototxt import Message
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.coordinates import Map, aligned_offset, follow
from fullconv.lib.network.caffe.layer import Layer, Mults

logger = logging.getLogger(__name__)

NET_FIELDS = {"name", "input", "input_dim", "input_shape", "layer", "layers", "force_backward", "state", "debug_info"}
LAYER_FIELDS = {"name", "type", "bottom", "top", "param", "phase", "include", "exclude", "blobs_lr", "weight_decay"}
LAYER_FIELDS |= {"propagate_down"}  # of training, and our gradients are MXNet's

PHASES = ("TRAIN", "TEST")

ALIGNED, ZERO = "aligned", "zero"
"""What a Crop without crop_param means: to lay one map over the other, as the Caffe of the FCN paper did before the
field existed, or BVLC's default of 0."""

MAX_LAYERS = 5000
"""The largest networks have a thousand; each costs a fraction of a millisecond here and more in MXNet."""


class Network(NamedTuple):
    """Rows, and the shape of each input as far as the file says: 0 where it does not."""

    layers: List[Layer]
    shapes: Dict[str, Shape]


def read_layers(net: Message, phase: str = "TEST", crop: str = ALIGNED) -> Network:
    """A network message's layers: those of `phase` (TRAIN or TEST) where the file distinguishes them.

    crop: ALIGNED or ZERO.

    Raises:
        ConvertError: anything that is not supported; names the layer and its line.
    """
    Scope("of the network", net).allow(*sorted(NET_FIELDS))
    inputs = caffe_inputs.above_the_layers(net)
    network = _Growing(crop)
    network.add_inputs(inputs)
    scopes = _chosen(net, phase, needs_source=not inputs)
    if not scopes and not inputs:
        raise ConvertError("no layers: not a network (is it a solver?)")
    for scope in scopes:
        # In the file's order, as a crop is computed from the maps of the layers before it.
        network.add(scope)
    return Network(network.layers, network.shapes)


def _chosen(net: Message, phase: str, needs_source: bool) -> List[Scope]:
    """The layers of a phase, and the data layers of the other one where this one has none."""
    # A file has one of the two, whose order is kept.
    messages = [*net.all("layer"), *net.all("layers")]
    if len(messages) > MAX_LAYERS:
        raise ConvertError(_too_many(len(messages)))
    for message in messages:
        if not isinstance(message, Message):
            raise ConvertError(f"layer: {repr(message)[:SHOWN]} found where a message in braces is expected")
    scopes = [Scope(str(message.get("name", "")), message) for message in upgraded(messages)]
    state = _State(phase, Scope("state", net).inner("state"))
    chosen = [scope for scope in scopes if state.has(scope)]
    # A training file may have data for TRAIN only, and its test network would have nothing to read.
    if needs_source and not any(_kind(scope) == "Input" or _is_source(scope) for scope in chosen):
        return [scope for scope in scopes if _is_source(scope)] + chosen
    return chosen


class _State:
    """The state of a network that `include` and `exclude` rules are about."""

    def __init__(self, phase: str, scope: Scope) -> None:
        self.phase = phase
        self.level, self.stages = scope.integer("level", 0, -4096), set(scope.texts("stage"))

    def has(self, scope: Scope) -> bool:
        """Is the layer part of the network?"""
        included = [self._meets(scope, rule) for rule in scope.message.all("include")]
        excluded = [self._meets(scope, rule) for rule in scope.message.all("exclude")]
        # Caffe lets a layer have one kind of rule only; where it has, this is its rule.
        return (not included or any(included)) and not any(excluded)

    def _meets(self, scope: Scope, message: Any) -> bool:
        if not isinstance(message, Message):
            raise scope.error("include and exclude: a message in braces is expected")
        rule = Scope(scope.layer, message)
        rule.allow("phase", "min_level", "max_level", "stage", "not_stage")
        return (
            rule.choice("phase", PHASES, self.phase) == self.phase
            and rule.integer("min_level", self.level, -4096) <= self.level
            and rule.integer("max_level", self.level, -4096) >= self.level
            and self.stages.issuperset(rule.texts("stage"))
            and self.stages.isdisjoint(rule.texts("not_stage"))
        )


def _kind(scope: Scope) -> str:
    value = scope.message.get("type", "")
    if isinstance(value, int):
        return BY_NUMBER.get(value, str(value))
    return BY_V1_WORD.get(str(value), str(value))


def _is_source(scope: Scope) -> bool:
    return is_source(_kind(scope)) and not scope.message.all("bottom")


class _Growing:
    """A network while its layers are read, and the map of every blob so far, which crops are computed from."""

    def __init__(self, crop: str) -> None:
        if crop not in (ALIGNED, ZERO):
            raise ValueError(f"crop={crop!r}: {ALIGNED!r} or {ZERO!r} is expected")
        self.crop = crop
        self.layers: List[Layer] = []
        self.shapes: Dict[str, Shape] = {}
        self.maps: Dict[str, Map] = {}

    def add_inputs(self, shapes: Dict[str, Shape]) -> None:
        if len(shapes) > MAX_LAYERS:
            raise ConvertError(_too_many(len(shapes)))
        self.shapes.update(shapes)
        for name, shape in shapes.items():
            self._append(rows.data(name, shape[1] if len(shape) > 1 else 0))

    def add(self, scope: Scope) -> None:
        """Read one layer."""
        kind, tops = _kind(scope), scope.texts("top")
        if len(self.layers) + len(tops) > MAX_LAYERS:
            raise scope.error(_too_many(len(self.layers) + len(tops)))
        if _is_source(scope):
            self.add_inputs(caffe_inputs.of_source(scope, kind, tops))
        elif kind == "Input":
            scope.allow(*LAYER_FIELDS, "input_param")
            self.add_inputs(caffe_inputs.of_input_layer(scope, tops))
        else:
            for row in _read(scope, kind, tops):
                self._append(self._aligned(scope, row))

    def _append(self, row: Layer) -> None:
        self.layers.append(row)
        follow(self.maps, row)

    def _aligned(self, scope: Scope, row: Layer) -> Layer:
        if row.type != "Crop" or row.options["offset"] is not None:
            return row
        if self.crop == ZERO:
            return row._replace(options={"offset": 0})
        try:
            offset = aligned_offset(self.maps, "crop", *row.bottoms)
        except ValueError as error:
            raise scope.error(
                f"there is no crop_param, and the offset that aligns its blobs cannot be computed: {error}. State "
                "crop_param { offset: ... }, or read the file with crop offsets 'zero', BVLC's default"
            ) from None
        logger.warning(
            "layer %r (line %d): no crop_param: offset %s lays %s over %s and is taken (BVLC's default is 0: read the "
            "file with crop offsets 'zero' for that)",
            *(scope.layer[:SHOWN], scope.message.line, offset, *row.bottoms),
        )
        return row._replace(options={"offset": offset})


def _read(scope: Scope, kind: str, tops: Tuple[str, ...]) -> List[Layer]:
    """Rows of a layer that is no input: one, or as many as tops."""
    name, bottoms = scope.layer, scope.texts("bottom")
    if kind in LOSSES and kind not in READERS:
        return [Layer(name, kind, bottoms, tops[0] if tops else name, {})]
    if kind == "Silence":
        return [Layer(name, kind, bottoms, "", {})] if bottoms else []
    if kind == "Slice" and len(bottoms) == 1 and tops:
        scope.allow(*LAYER_FIELDS, "slice_param")
        return [row._replace(bottoms=bottoms) for row in slice_rows(scope, name, tops)]
    if kind not in READERS:
        raise scope.error(_unknown(kind))
    reader = READERS[kind]
    scope.allow(*LAYER_FIELDS, *reader.messages)
    if kind in LOSSES:
        tops = tops[:1] or (name,)  # Caffe names a loss without a top itself; a second one repeats the scores.
    least, most = reader.bottoms
    if not tops or (len(tops) > 1 and kind != "Split") or not least <= len(bottoms) <= most:
        raise scope.error(f"{len(bottoms)} bottoms and {len(tops)} tops do not fit a {kind} layer")
    row = reader.read(scope, name, bottoms)._replace(bottoms=bottoms, mults=_mults(scope))
    if kind == "BatchNorm":
        row = row._replace(mults=((0.0, 0.0), (0.0, 0.0)))  # As Caffe sets them, whatever the file says.
    # A Split of several tops is several rows, and their names must differ.
    names = [name] if len(tops) == 1 else [f"{name}_{index}" for index in range(len(tops))]
    return [row._replace(name=each, top=top) for each, top in zip(names, tops)]


def _too_many(count: int) -> str:
    return f"{count} layers, each top counted; {MAX_LAYERS} are the most that a network may have"


def _unknown(kind: str) -> str:
    known = ", ".join(sorted([*READERS, *LOSSES[1:], "Input", "Slice", "Silence", "Data and all ...Data, Python"]))
    if not kind:
        return "type is missing"
    return f"type {kind[:SHOWN]!r} is not supported; known types: {known}. Remove the layer or replace it"


def _mults(scope: Scope) -> Mults:
    """(learning rate, decay) multipliers from `param` messages, or the older generations' two lists."""
    rates, decays = scope.message.all("blobs_lr"), scope.message.all("weight_decay")
    if not all(isinstance(value, (int, float)) for value in [*rates, *decays]):
        raise scope.error("blobs_lr and weight_decay: numbers are expected")
    if rates or decays:
        count = max(len(rates), len(decays))
        # The lists may be of different lengths; what is not stated is 1.
        padded = [list(values) + [1] * (count - len(values)) for values in (rates, decays)]
        return tuple(zip(*padded))
    return tuple(_mult(scope, param) for param in scope.message.all("param"))


def _mult(scope: Scope, param: Any) -> Tuple[float, float]:
    if not isinstance(param, Message):
        raise scope.error("param: shared parameters are not supported")
    inner = Scope(scope.layer, param)
    inner.allow("lr_mult", "decay_mult")
    return inner.real("lr_mult", 1.0), inner.real("decay_mult", 1.0)
