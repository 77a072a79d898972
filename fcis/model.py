"""A trained FCIS from its file: its network in MXNet, or through an exported copy in another engine."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Sequence, Tuple

import mxnet as mx
from easydict import EasyDict

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.exported import NAME
from fullconv.fcis.head import MAPS, Heads, HeadSpec, Proposals
from fullconv.fcis.preprocess import InputSpec
from fullconv.fcis.symbols.fcis import FCIS, GROUP
from fullconv.fcis.symbols.maps import network_maps
from fullconv.fcis.symbols.spec import NetworkSpec, TestSpec
from fullconv.fcis.tester import Detector, ResultSpec
from fullconv.fcis.weights import CLASS_UNITS
from fullconv.lib.core import checkpoint
from fullconv.lib.core.exported import exported_in
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.engines.network import MXNET, Choice, Network
from fullconv.lib.experiment.config import parse_overrides
from fullconv.lib.experiment.model_classes import model_classes
from fullconv.lib.experiment.model_file import ModelFile
from fullconv.lib.export.errors import ExportError
from fullconv.lib.export.metadata import texts
from fullconv.lib.export.network import Exportable

Params = Tuple[Mapping[str, Any], Mapping[str, Any]]
"""Parameters and auxiliary states by name."""


class Trained(NamedTuple):
    """What a detector is made of; source: file of the parameters, for messages."""

    network: NetworkSpec
    test: TestSpec
    images: InputSpec
    params: Params
    source: str = "checkpoint"

    def predictor(self, ctx: mx.Context) -> Predictor:
        """The test graph in MXNet. Raises `lib.core.checkpoint.CheckpointError`: the parameters do not fit."""
        largest = {"data": (1, 3, *self.images.largest), "im_info": (1, 3)}
        symbol = FCIS(self.network).test_symbol(self.test)
        matched = match_params(expected_shapes(symbol, **largest), *self.params, units=CLASS_UNITS, source=self.source)
        return Predictor(symbol, ctx, largest, *matched)

    def proposals(self, choice: Choice, ctx: mx.Context) -> Network:
        """The region proposals alone."""
        if choice.engine != MXNET:
            return Proposals(exported_in(self.exportable({}), choice), head_spec(self.network, self.test))
        largest = {"data": (1, 3, *self.images.largest), "im_info": (1, 3)}
        symbol = FCIS(self.network).proposal_symbol(self.test)
        expected = expected_shapes(symbol, **largest)
        matched = match_params(expected, *self.params, allow_unexpected=True, source=self.source)
        return Predictor(symbol, ctx, largest, *matched)

    def exportable(self, metadata: Mapping[str, str]) -> Exportable:
        """The maps, which is what ONNX can say. Raises CheckpointError, ExportError."""
        if self.test.proposals.builtin:
            raise ExportError(
                "TEST.CXX_PROPOSAL is true: that rule is MXNet's own operator, and proposals of an exported network "
                "are ours: --set TEST.CXX_PROPOSAL false"
            )
        symbol = FCIS(self.network).maps_symbol()
        expected = expected_shapes(symbol, data=(1, 3, *self.images.largest))
        args, aux = match_params(expected, *self.params, units=CLASS_UNITS, source=self.source)
        return Exportable(symbol, {**args, **aux}, {"data": 3}, MAPS, metadata)

    def in_engine(self, choice: Choice, ctx: mx.Context) -> Network:
        """From `data` and `im_info` to the outputs of the test graph, computed as `choice` says."""
        if choice.engine == MXNET:
            return self.predictor(ctx)
        return Heads(exported_in(self.exportable({}), choice), head_spec(self.network, self.test))

    def detector(self, results: ResultSpec, choice: Choice, ctx: mx.Context) -> Detector:
        """The whole way from an image to detections."""
        return Detector(self.in_engine(choice, ctx), self.images, results)


def class_names(prefix: str, params: Mapping) -> Dict[int, str]:
    """Category id -> name of the model's classes, see `model_classes`.

    Raises UsageError: no FCIS model, or classes.txt names another number of classes than it has.
    """
    if "fcis_cls_seg_bias" not in params:
        raise UsageError(f"{prefix}: no FCIS model, it has no fcis_cls_seg_bias; is it the pretrained backbone?")
    return model_classes(prefix, params["fcis_cls_seg_bias"].size // (2 * GROUP * GROUP) - 1)


def load(model: ModelFile, cfg: str, overrides: Sequence[str]) -> Tuple[EasyDict, Dict[int, str], Trained]:
    """Configuration, class names by category id, and what makes a detector, of a file of parameters.

    The box layer is taken as it was trained, not its `*_test` copy with the normalisation folded in: the network
    applies the normalisation itself, and the original's demo applied it twice.
    """
    params = checkpoint.load_file(model.path)
    config = fcis_config.load(cfg, parse_overrides(overrides))
    names = class_names(model.prefix, params[0])
    network = assembly.network_spec(config, len(names) + 1)
    return config, names, Trained(network, assembly.test_spec(config), assembly.input_spec(config), params, model.path)


def head_spec(network: NetworkSpec, test: TestSpec) -> HeadSpec:
    """What stands behind the maps of a network."""
    return HeadSpec(
        stride=network_maps(network)[1],
        num_classes=network.num_classes,
        num_reg_classes=network.num_reg_classes,
        mask_size=network.mask_size,
        scales=tuple(map(float, network.scales)),
        ratios=tuple(map(float, network.ratios)),
        proposals=test.proposals,
        boxes=test.boxes,
        rounds=test.rounds,
    )


def metadata(trained: Trained, results: ResultSpec, names: Mapping[int, str]) -> Dict[str, str]:
    """What the exported file says besides the network."""
    head = head_spec(trained.network, trained.test)
    return texts(NAME, {"classes": names, "input": trained.images, "head": head, "results": results})
