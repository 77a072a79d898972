"""From a row of `fcn.symbols.networks` to layers, symbols and starting weights.

Layer names are those of the published Caffe models, so their weights load by name. Crop offsets are computed from the
layers, never typed.

Dimension letters: N images, C classes, H, W image size; (h, w) the size of the map at hand.
"""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import mxnet as mx

from fullconv.fcn.geometry import FIRST_STEP, check_sizes
from fullconv.fcn.symbols.networks import IGNORE_LABEL, NETWORKS, Head, Network
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.alexnet import alexnet_fcn
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.coordinates import aligned_crop
from fullconv.lib.network.caffe.layer import WEIGHT_AND_BIAS, Layer
from fullconv.lib.network.caffe.vgg16 import NORM_LEAST, vgg16_fcn

SKIP_PAD = 6
"""Padding of the skips' scores with normalisation: upsampled maps begin and end up to so many places outside of a map
that is not padded."""

# 63 for AlexNet: with 64 its scores would have to be cropped by 18.5 pixels.
UP_KERNEL = {"vgg16": 64, "alexnet": 63}
"""Kernel of the upsampling from step 32 straight to pixels; finer ones have twice their stride."""


class FCN:
    """One network at a given width and class count.

    classes: per head, in the order of `heads`; those of the published network when not given. width: multiplier of the
    trunk's channels. hidden: channels of fc6 and fc7. dropout: ratio after fc6 and fc7; 0 leaves it out. norm: the
    trunk with normalisation, to learn from nothing (`lib.network.caffe.vgg16`); each score then depends on the whole
    image. learn_upsampling: deconvolutions start as bilinear interpolation and learn, without decay, as section 3.3 of
    the paper has it; in the published networks they stay as they are.
    """

    def __init__(
        self,
        network: Network,
        classes: Sequence[int] = (),
        width: float = 1.0,
        hidden: int = 4096,
        dropout: float = 0.5,
        norm: bool = False,
        learn_upsampling: bool = False,
    ) -> None:
        if classes and len(classes) != len(network.heads):
            labels = ", ".join(head.label for head in network.heads)
            raise ValueError(f"classes={tuple(classes)}: one count per label map is expected ({labels})")
        if min(classes, default=1) < 1 or width <= 0 or hidden < 1 or not 0 <= dropout < 1:
            raise ValueError(f"classes={classes}, width={width}, hidden={hidden}, dropout={dropout} make no network")
        if norm and network.trunk != "vgg16":
            raise ValueError("this trunk has its own normalisation: leave network.norm off")
        self.network = network
        self.learn_upsampling = learn_upsampling
        self.width, self.hidden, self.dropout, self.norm = width, hidden, dropout, norm
        counts = classes or [head.classes for head in network.heads]
        self.heads: Tuple[Head, ...] = tuple(h._replace(classes=int(n)) for h, n in zip(network.heads, counts))
        self.layers = self._layers()

    # ------------------------------------------------------------------------------------------------ layers

    def _layers(self) -> List[Layer]:
        """Inputs, trunk(s) and heads up to the scores."""
        layers = [rows.data(i.name, i.channels) for i in self.network.inputs]
        if len(self.network.streams) > 1:
            pairs = [(suffix, i.name) for suffix, i in zip(self.network.streams, self.network.inputs)]
        else:
            if len(layers) > 1:
                layers.append(rows.concat("data", [i.name for i in self.network.inputs]))
            pairs = [("", layers[-1].top)]
        for suffix, bottom in pairs:
            layers += self._trunk(bottom, suffix)
            if suffix:
                layers.append(self._score(f"score_fr{suffix}", f"fc7{suffix}", self.heads[0].classes))
        for head in self.heads:
            self._add_head(layers, head)
        return layers

    def _trunk(self, bottom: str, suffix: str) -> List[Layer]:
        if self.network.trunk == "alexnet":
            return alexnet_fcn(bottom, self.width, self.hidden, self.dropout)
        return vgg16_fcn(bottom, self.width, self.hidden, self.dropout, suffix, self.network.first, self.norm)

    def _score(self, name: str, bottom: str, classes: int, pad: int = 0) -> Layer:
        return rows.convolution(name, bottom, classes, kernel=1, pad=pad, mults=WEIGHT_AND_BIAS)

    def _upsampling(self, name: str, bottom: str, classes: int, kernel: int, stride: int) -> Layer:
        # Decay would pull a kernel that is right as it starts towards zero.
        mults = rows.NO_DECAY[:1] if self.learn_upsampling else rows.FIXED
        return rows.deconvolution(name, bottom, classes, kernel, stride, mults=mults)

    def _add_head(self, layers: List[Layer], head: Head) -> None:
        """Score the coarsest map, fuse finer ones in, go up to pixels and crop to the image."""
        end, classes = head.suffix, head.classes
        blob, step = self._coarsest(layers, head), FIRST_STEP
        for number, (pool, scale) in enumerate(self._skips()):
            # The published names: one after its factor, the other after the map it starts from.
            up = f"upscore2{end}" if number == 0 else f"upscore_pool4{end}"
            layers.append(self._upsampling(up, blob, classes, kernel=4, stride=2))
            source = pool
            if scale:
                source = f"scale_{pool}"
                if source not in (layer.name for layer in layers):
                    # The factors make up for the size of numbers that normalised maps do not have.
                    scale = 1.0 if self.norm else scale
                    layers.append(rows.scale(source, pool, scale, mults=rows.FIXED))
            score = f"score_{pool}{end}"
            layers.append(self._score(score, source, classes, pad=SKIP_PAD if self.norm else 0))
            layers.append(aligned_crop(layers, f"{score}c", score, up))
            blob, step = f"fuse_{pool}{end}", step // 2
            layers.append(rows.eltwise_sum(blob, (up, f"{score}c")))
        kernel = UP_KERNEL[self.network.trunk] if step == FIRST_STEP else 2 * step
        # The last upsampling is named by its stride, except in FCN-32s.
        up = f"upscore{'' if step == FIRST_STEP else step}{end}"
        layers.append(self._upsampling(up, blob, classes, kernel, stride=step))
        layers.append(aligned_crop(layers, head.score, up, self._frame(layers)))

    def _coarsest(self, layers: List[Layer], head: Head) -> str:
        """Blob with the scores of fc7, those of two trunks averaged."""
        streams = self.network.streams
        if len(streams) > 1:
            scores = [f"score_fr{suffix}" for suffix in streams]
            layers.append(rows.eltwise_sum("score_fused", scores, (1 / len(streams),) * len(streams)))
        else:
            layers.append(self._score(f"score_fr{head.suffix}", "fc7", head.classes))
        return layers[-1].top

    def _skips(self) -> List[Tuple[str, float]]:
        """(pooling layer, factor or 0) of the maps fused in, coarsest first."""
        pools = {32: [], 16: ["pool4"], 8: ["pool4", "pool3"]}[self.network.step]
        return list(zip(pools, self.network.skip_scales or (0,) * len(pools)))

    def _frame(self, layers: Sequence[Layer]) -> str:
        """The blob of the image's size that scores are cropped to."""
        return "data" if any(layer.top == "data" for layer in layers) else self.network.inputs[0].name

    def train_layers(self, normalization: Optional[str] = None, ignore_label: int = IGNORE_LABEL) -> List[Layer]:
        """`layers` with label inputs in front and a loss per head behind."""
        normalization = normalization or self.network.normalization
        labels = [rows.data(head.label, 1) for head in self.heads]
        losses = [
            rows.softmax_loss(head.loss, head.score, head.label, normalization, ignore_label) for head in self.heads
        ]
        # A loss needs the label's blob, so labels come first; rows are composed in order.
        return labels + self.layers + losses

    # ----------------------------------------------------------------------------------------------- symbols

    @property
    def inputs(self) -> Dict[str, int]:
        """Channels of every image input by name."""
        return rows.inputs(self.layers)

    def data_shapes(self, height: int, width: int, labels: bool = False) -> Dict[str, Tuple[int, ...]]:
        """Input shapes of a batch of one; with `labels`, also (1, 1, H, W) per label map."""
        shapes: Dict[str, Tuple[int, ...]] = {n: (1, channels, height, width) for n, channels in self.inputs.items()}
        if labels:
            shapes.update({head.label: (1, 1, height, width) for head in self.heads})
        return shapes

    def test_symbol(self) -> mx.sym.Symbol:
        """One score (N, C, H, W) per head, before any softmax."""
        # Dropout works in place, so the rows around it still fit without it.
        blobs = compose(rows.without(self.layers, "Dropout"))
        return mx.sym.Group([blobs[head.score] for head in self.heads])

    def train_symbol(self, normalization: Optional[str] = None, ignore_label: int = IGNORE_LABEL) -> mx.sym.Symbol:
        """A loss (1,) per head, then a score (N, C, H, W) per head without gradient.

        Inputs: the images, and per head a label map (N, 1, H, W) of class indices. normalization: see
        `lib.network.loss`; the published training's when not given. Multipliers of learning rate and decay stand in
        the symbol's attributes; the published rates belong to `batch` (AlexNet: `valid`).
        """
        blobs = compose(self.train_layers(normalization, ignore_label))
        losses = [blobs[head.loss] for head in self.heads]
        scores = [mx.sym.BlockGrad(blobs[head.score], name=f"{head.score}_out") for head in self.heads]
        return mx.sym.Group(losses + scores)

    def param_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shape of every parameter by name."""
        # Shapes of convolutions do not depend on the image, so the least one will do.
        return expected_shapes(self.test_symbol(), **self.data_shapes(self.least_size, self.least_size))

    @property
    def least_size(self) -> int:
        """Pixels an image must have in either direction."""
        return NORM_LEAST if self.norm else 1

    def check_sizes(self, names: Sequence[str], sizes: Sequence[Tuple[int, int]]) -> None:
        """Raise ValueError: one of the images called `names`, (height, width) in `sizes`, is below `least_size`."""
        check_sizes(names, sizes, self.least_size)


def build(name: str, classes: Sequence[int] = (), **options: Any) -> FCN:
    """A published network by name; `options` are those of `FCN`.

    Raises:
        KeyError: no such network; the message names the nearest.
    """
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise KeyError(f"no network named {name!r}; {hint}known: {', '.join(NETWORKS)}")
    return FCN(NETWORKS[name], classes, **options)
