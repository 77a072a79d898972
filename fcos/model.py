"""A trained FCOS as a function of images, for programs: `FCOS("model/FCOS_imprv_R_50_FPN_1x.pth").detect(image)`."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from easydict import EasyDict

from fullconv.fcos import assembly
from fullconv.fcos import config as fcos_config
from fullconv.fcos.exported import NAME, Named, outputs
from fullconv.fcos.levels import level_name
from fullconv.fcos.overlay import Results, show_bboxes
from fullconv.fcos.postprocess import ResultSpec
from fullconv.fcos.preprocess import InputSpec
from fullconv.fcos.published import find, list_available_models, settings
from fullconv.fcos.symbols.fcos import test_symbol
from fullconv.fcos.symbols.spec import NetworkSpec
from fullconv.fcos.tester import Detector, ViewSpec
from fullconv.fcos.weights import load_model
from fullconv.lib.convert import weights
from fullconv.lib.core.devices import parse_devices
from fullconv.lib.core.executors import Shapes
from fullconv.lib.core.exported import exported_in
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.engines.network import BY_MXNET, MXNET, Choice, Network
from fullconv.lib.evaluation.thresholds import read_thresholds
from fullconv.lib.experiment.model_classes import model_classes
from fullconv.lib.export.metadata import texts
from fullconv.lib.export.network import Exportable

CLASS_BIAS = "rpn.head.cls_logits.bias"
MinConfidence = Union[None, float, Sequence[float], np.ndarray]
USUAL_SCORE = 0.5
"""Least score of a class that no threshold is known of."""


class Trained(NamedTuple):
    """What a detector is made of. params: arrays by name, all there are."""

    network: NetworkSpec
    images: InputSpec
    results: ResultSpec
    more: ViewSpec
    params: Mapping[str, mx.nd.NDArray]

    def exportable(self, metadata: Mapping[str, str]) -> Exportable:
        """The network as it is exported."""
        return Exportable(
            test_symbol(self.network), self.params, {"data": 3}, list(outputs(self.results.strides)), metadata
        )

    def metadata(self, names: Mapping[int, str]) -> Dict[str, str]:
        """What an exported file says besides the network. names: by category id."""
        values = {"input": self.images, "results": self.results, "views": self.more}
        strides = {level_name(stride): stride for stride in self.results.strides}
        return texts(NAME, {"classes": names, "strides": strides, **values})

    def in_engine(self, choice: Choice, ctx: mx.Context) -> Network:
        """The outputs of the test symbol, computed as `choice` says."""
        if choice.engine == MXNET:
            largest: Shapes = {"data": (1, 3, *self.images.largest)}
            return Predictor(test_symbol(self.network), ctx, largest, self.params, self.params)
        return Named(exported_in(self.exportable({}), choice), self.results.strides)

    def detector(self, choice: Choice, ctx: mx.Context) -> Detector:
        """The whole way from an image to detections."""
        return Detector(self.in_engine(choice, ctx), self.images, self.results, self.more)


def trained(config: EasyDict, path: str, num_classes: int) -> Trained:
    """What a config says of the network whose weights are in a file; classes count the background.

    Raises CheckpointError: the weights are not this network's; lists what is missing, left over, of another shape.
    """
    network, images = assembly.network_spec(config, num_classes), assembly.test_input(config)
    shapes = expected_shapes(test_symbol(network), data=(1, 3, *images.largest))
    results, more = assembly.result_spec(config), assembly.view_spec(config)
    return Trained(network, images, results, more, load_model(shapes, path))


def load_detectors(
    config: EasyDict, path: str, num_classes: int, contexts: Sequence[mx.Context], choice: Choice = BY_MXNET
) -> List[Detector]:
    """The detector of a config with the weights of a file, on each device. Raises CheckpointError as `trained`."""
    found = trained(config, path, num_classes)
    return [found.detector(choice, ctx) for ctx in contexts]


def class_names(path: str, prefix: str) -> Dict[int, str]:
    """Category id -> name of the model's classes, see `model_classes`.

    Raises UsageError: no FCOS model, or classes.txt names another number of classes than it has.
    """
    bias = [array for name, array in weights.read(path).items() if name.endswith(CLASS_BIAS)]
    if not bias:
        raise UsageError(f"{path}: no FCOS model, it has no {CLASS_BIAS}; is it the pretrained backbone?")
    return model_classes(prefix, len(bias[0]))


class FCOS:
    """A model for programs, as the original's pip package has it.

    model_name: a file of weights, `.pth`, `.params` or `.safetensors`, a prefix of checkpoints, or a published model's
    name, whose file is looked for in ./model. nms_thresh: IoU. cpu_only: not on the first GPU even where there is one.
    cfg: yaml file, by default what training left beside the model, or the published one of its name. overrides:
    configuration keys and values. thresholds: a test's `scores.json`, whose thresholds `detect` takes; by default
    `<model>-scores.json` beside the model, if there is one.

    Raises UsageError, ConfigError, CheckpointError, ThresholdError: the model or what belongs to it cannot be found or
    used.
    """

    list_available_models = staticmethod(list_available_models)

    def __init__(
        self,
        model_name: str = "fcos_R_50_FPN_1x",
        nms_thresh: float = 0.6,
        cpu_only: bool = False,
        cfg: Optional[str] = None,
        overrides: Mapping[str, Any] = {},  # noqa: B006 (only read)
        thresholds: Optional[str] = None,
    ) -> None:
        model = find(model_name)
        keys = {"MODEL.FCOS.NMS_TH": nms_thresh, **overrides}
        self.config = fcos_config.load(cfg or settings(model), keys)
        self.names = class_names(model.path, model.prefix)
        names, file = list(self.names.values()), thresholds or model.scores
        self.thresholds = read_thresholds(file, names, USUAL_SCORE) if file else np.full(len(names), USUAL_SCORE)
        gpu = not cpu_only and mx.context.num_gpus() > 0
        contexts = parse_devices("", "gpu:0" if gpu else "cpu")
        (self.detector,) = load_detectors(self.config, model.path, len(self.names) + 1, contexts)

    def detect(self, im: np.ndarray, min_confidence: MinConfidence = None) -> List[Dict[str, Any]]:
        """What is in a BGR image (h, w, 3) uint8, best first.

        min_confidence: least score, one for all classes or one for each; None: the model's thresholds, 0.5 where it has
        none. Scores equal to it are left out. The image is resized as the configuration says; boxes are in its own
        pixels.

        Returns: dicts of `box` [x1, y1, x2, y2], `score`, `label_name` and `label_id`, which counts from 1.
        Raises ValueError: no such image, or another number of least scores than classes.
        """
        check_image(im)
        found, least = self.detector.detect(im).best_first(), self._least(min_confidence)
        names = list(self.names.values())
        return [
            {"box": box.tolist(), "score": float(score), "label_name": names[label - 1], "label_id": int(label)}
            for box, score, label in zip(found.boxes, found.scores, found.labels)
            if score > least[label - 1]
        ]

    def show_bboxes(self, im: np.ndarray, results: Results) -> np.ndarray:
        """A copy of the image with the results on it; no window is opened."""
        return show_bboxes(im, results)

    def _least(self, min_confidence: MinConfidence) -> np.ndarray:
        least = self.thresholds if min_confidence is None else np.asarray(min_confidence, np.float64)
        if least.shape not in ((), (len(self.names),)):
            raise ValueError(
                f"min_confidence has shape {least.shape}; the model has {len(self.names)} classes: one number for all, "
                "or one for each"
            )
        return np.broadcast_to(least, (len(self.names),))


def check_image(image: Any) -> None:
    """Raises ValueError unless it is a BGR image (h, w, 3) uint8."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        given = f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"need a BGR image (h, w, 3) of uint8, as cv2.imread gives it; got {given}")
