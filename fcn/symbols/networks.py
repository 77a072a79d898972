"""The fifteen published networks, one row each.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015; PAMI 2017). Rows say
only what differs: the trunk, the finest step that is fused in, what comes in and which label maps are predicted.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Input(NamedTuple):
    """One network input (1, channels, H, W).

    kind: `color` is BGR minus the data set's mean; `hha` keeps the channel order of the stored image (it is *not*
    reversed) minus its mean; `depth` is one channel, the logarithm of depth minus its mean.
    """

    name: str
    channels: int
    kind: str


class Head(NamedTuple):
    """One label map to predict: name of the label input, classes, and the suffix of its layers' names."""

    label: str
    classes: int
    suffix: str = ""

    @property
    def score(self) -> str:
        """Name of the score output (1, classes, H, W)."""
        return f"score{self.suffix}"

    @property
    def loss(self) -> str:
        """Name of the loss output (1,). The first head's is called `loss` whatever its suffix."""
        return "loss_geo" if self.suffix == "_geo" else "loss"


class Network(NamedTuple):
    """What distinguishes one network.

    step: 32, 16 or 8, the step in pixels of the finest prediction that is fused in (FCN-32s, 16s, 8s).
    streams: suffix of each trunk; two trunks are averaged where they are scored. first: name of the first convolution.
    skip_scales: factor on pool4 and pool3 in front of their scores, for training all of it at once.
    normalization: of the published training's loss (`lib.network.loss`).
    """

    heads: Tuple[Head, ...]
    step: int = 32
    trunk: str = "vgg16"
    inputs: Tuple[Input, ...] = (Input("data", 3, "color"),)
    streams: Tuple[str, ...] = ("",)
    first: str = "conv1_1"
    skip_scales: Tuple[float, ...] = ()
    normalization: str = "batch"


IGNORE_LABEL = 255

COLOR, HHA, DEPTH = Input("color", 3, "color"), Input("hha", 3, "hha"), Input("depth", 1, "depth")
VOC = (Head("label", 21),)
NYUD = (Head("label", 40),)
SIFT_FLOW = (Head("sem", 33, "_sem"), Head("geo", 3, "_geo"))
PASCAL_CONTEXT = (Head("label", 60),)

NETWORKS: Dict[str, Network] = {
    "voc-fcn32s": Network(VOC, 32),
    "voc-fcn16s": Network(VOC, 16),
    "voc-fcn8s": Network(VOC, 8),
    # Trained in one go, pool4 and pool3 need these: their numbers are so much larger than fc7's.
    "voc-fcn8s-atonce": Network(VOC, 8, skip_scales=(0.01, 0.0001)),
    # The only one whose loss is a mean over pixels, hence a rate of 1e-4 and not 1e-10.
    "voc-fcn-alexnet": Network(VOC, 32, trunk="alexnet", normalization="valid"),
    "nyud-fcn32s-color": Network(NYUD),
    "nyud-fcn32s-hha": Network(NYUD, inputs=(Input("data", 3, "hha"),)),
    "nyud-fcn32s-color-d": Network(NYUD, inputs=(COLOR, DEPTH), first="conv1_1_bgrd"),
    # Two whole trunks that share nothing, each with names of its own.
    "nyud-fcn32s-color-hha": Network(NYUD, inputs=(COLOR, HHA), streams=("color", "hha")),
    "siftflow-fcn32s": Network(SIFT_FLOW, 32),
    "siftflow-fcn16s": Network(SIFT_FLOW, 16),
    "siftflow-fcn8s": Network(SIFT_FLOW, 8),
    "pascalcontext-fcn32s": Network(PASCAL_CONTEXT, 32),
    "pascalcontext-fcn16s": Network(PASCAL_CONTEXT, 16),
    "pascalcontext-fcn8s": Network(PASCAL_CONTEXT, 8),
}
