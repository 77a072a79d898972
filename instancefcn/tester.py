"""From a trained network and an image to segment proposals (Dai et al., ECCV 2016, section 3.3)."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.instancefcn.preprocess import InputSpec, Size, padded, pyramid
from fullconv.instancefcn.sliding import slide
from fullconv.instancefcn.symbols.instancefcn import test_symbol, window_spec
from fullconv.instancefcn.symbols.spec import DEEPMASK, NetworkSpec
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.mask.instance_proposals import Proposals, ScaleMaps, instance_proposals
from fullconv.lib.operators.assembling import assemble

SIZES_BOUND = 8
"""Input sizes that stay bound: those of one image at all scales, and one or two of another orientation."""

Started = List[List[mx.nd.NDArray]]


class ResultSpec(NamedTuple):
    """From maps to proposals. most: kept of an image. thresh: probability from which a pixel is the object's. nms: IoU
    of boxes. candidates: windows that are looked at, best first; 0 looks at all."""

    most: int = 1000
    thresh: float = 0.5
    nms: float = 0.8
    candidates: int = 0


class Sample(NamedTuple):
    """An image at all scales, each (3, H, W) with the image's (height, width) in it, and its own (height, width)."""

    inputs: Tuple[Tuple[np.ndarray, Size], ...]
    size: Size


def views(image: np.ndarray, images: InputSpec) -> Sample:
    """A BGR image (h, w, 3) uint8 at all scales."""
    return Sample(pyramid(image, images), (image.shape[0], image.shape[1]))


class Detector:
    """A network with given parameters on one device (a `lib.core.inference.Device`).

    largest: (height, width) of the largest input to come; larger ones cost memory of their own. source: file of the
    parameters, for messages. Raises `lib.core.checkpoint.CheckpointError` when they do not fit.
    """

    def __init__(
        self,
        network: NetworkSpec,
        images: InputSpec,
        results: ResultSpec,
        params: Tuple[Mapping[str, mx.nd.NDArray], Mapping[str, mx.nd.NDArray]],
        ctx: mx.Context,
        largest: Size,
        source: str = "checkpoint",
    ) -> None:
        self.network, self.images, self.results = network, images, results
        self.windows = window_spec(network)
        # The baseline's crops reach beyond the image by half of themselves, as DeepMask's do.
        self.border = self.windows.size * self.windows.cell // 2 if network.head == DEEPMASK else 0
        height, width = (side + 2 * self.border for side in padded(largest, max(self.windows.stride, images.stride)))
        shapes: Dict[str, Tuple[int, ...]] = {"data": (1, 3, height, width)}
        symbol = test_symbol(network)
        matched = match_params(expected_shapes(symbol, **shapes), *params, source=source)
        self.predictor = Predictor(symbol, ctx, shapes, *matched, executor_limit=SIZES_BOUND)

    def detect(self, image: np.ndarray) -> Proposals:
        """Proposals for one BGR image (h, w, 3) uint8."""
        sample = views(image, self.images)
        return self.finish(sample, self.start(sample))

    def maps(self, image: np.ndarray) -> List[ScaleMaps]:
        """What the network says about one BGR image, at all scales."""
        sample = views(image, self.images)
        return self._maps(sample, self.start(sample))

    def start(self, sample: Sample) -> Started:
        """Queue the network."""
        return [self.predictor.start({"data": self._bordered(data)[None]}) for data, _ in sample.inputs]

    def finish(self, sample: Sample, started: Started, on_outputs: Callable[[], None] = lambda: None) -> Proposals:
        """Wait for it, and make proposals in the frame of the image."""
        maps = self._maps(sample, started)
        on_outputs()
        return self.propose(maps, sample.size)

    def propose(self, maps: Sequence[ScaleMaps], size: Size) -> Proposals:
        """The proposals of what the network says about an image of size (h, w) at all scales."""
        results = self.results
        if self.network.head == DEEPMASK:
            return slide(maps, size, self.windows, *results)
        return instance_proposals(
            maps,
            size,
            results.most,
            results.thresh,
            results.nms,
            self.network.window,
            self.network.rule,
            self.windows.stride,
            results.candidates,
        )

    def _maps(self, sample: Sample, started: Started) -> List[ScaleMaps]:
        outputs = [self.predictor.finish(arrays) for arrays in started]
        made = []
        for out, (_, size) in zip(outputs, sample.inputs):
            # Windows around the padding are none; the baseline has one more than cells, around the far corner.
            rows, columns = (-(-side // self.windows.stride) + (self.border > 0) for side in size)
            scores, objectness = out["scores"][0, :, :rows, :columns], out["objectness"][0, 0, :rows, :columns]
            made.append(ScaleMaps(scores, objectness, size))
        return made

    def _bordered(self, data: np.ndarray) -> np.ndarray:
        if not self.border:
            return data
        height, width = padded((data.shape[1], data.shape[2]), self.windows.stride)
        more = (
            (0, 0),
            *((self.border, self.border + side - old) for side, old in zip((height, width), data.shape[1:])),
        )
        return np.pad(data, more)


def assembled(maps: Sequence[np.ndarray], network: NetworkSpec, centres: np.ndarray) -> np.ndarray:
    """Probabilities (n, m, m) of the windows around `centres` (n, 2), row and column, of score maps (k*k, h, w)."""
    windows = np.concatenate([np.zeros((len(centres), 1)), centres], axis=1).astype(np.float32)
    scores = mx.nd.array(np.asarray(maps)[None])
    logits, valid = assemble(scores, mx.nd.array(windows), network.group, network.window, network.rule)
    return (mx.nd.sigmoid(logits) * valid).asnumpy()
