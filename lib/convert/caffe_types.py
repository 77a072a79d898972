"""What the three generations of Caffe's files call a layer type.

Of 2013 (V0): lower-case words, and all parameters right in the layer. Of 2014 (V1): members of an enumeration, which a
text file may also give as their number and a binary one always does. Since then: names in quotes, as the classes are
called. The table is that of Caffe's published message definitions and of its upgrade tool.
"""

from __future__ import annotations

from typing import Dict, NamedTuple


class Spelling(NamedTuple):
    """One type in V1 (number and word) and in V0; "" where V0 has none."""

    number: int
    v1: str
    v0: str = ""


SPELLINGS: Dict[str, Spelling] = {
    "AbsVal": Spelling(35, "ABSVAL"),
    "Accuracy": Spelling(1, "ACCURACY", "accuracy"),
    "ArgMax": Spelling(30, "ARGMAX"),
    "BNLL": Spelling(2, "BNLL", "bnll"),
    "Concat": Spelling(3, "CONCAT", "concat"),
    "ContrastiveLoss": Spelling(37, "CONTRASTIVE_LOSS"),
    "Convolution": Spelling(4, "CONVOLUTION", "conv"),
    "Data": Spelling(5, "DATA", "data"),
    "Deconvolution": Spelling(39, "DECONVOLUTION"),
    "Dropout": Spelling(6, "DROPOUT", "dropout"),
    "DummyData": Spelling(32, "DUMMY_DATA"),
    "Eltwise": Spelling(25, "ELTWISE"),
    "EuclideanLoss": Spelling(7, "EUCLIDEAN_LOSS", "euclidean_loss"),
    "Exp": Spelling(38, "EXP"),
    "Flatten": Spelling(8, "FLATTEN", "flatten"),
    "HDF5Data": Spelling(9, "HDF5_DATA", "hdf5_data"),
    "HDF5Output": Spelling(10, "HDF5_OUTPUT", "hdf5_output"),
    "HingeLoss": Spelling(28, "HINGE_LOSS"),
    "Im2col": Spelling(11, "IM2COL", "im2col"),
    "ImageData": Spelling(12, "IMAGE_DATA", "images"),
    "InfogainLoss": Spelling(13, "INFOGAIN_LOSS", "infogain_loss"),
    "InnerProduct": Spelling(14, "INNER_PRODUCT", "innerproduct"),
    "LRN": Spelling(15, "LRN", "lrn"),
    "MVN": Spelling(34, "MVN"),
    "MemoryData": Spelling(29, "MEMORY_DATA"),
    "MultinomialLogisticLoss": Spelling(16, "MULTINOMIAL_LOGISTIC_LOSS", "multinomial_logistic_loss"),
    "Pooling": Spelling(17, "POOLING", "pool"),
    "Power": Spelling(26, "POWER"),
    "ReLU": Spelling(18, "RELU", "relu"),
    "Sigmoid": Spelling(19, "SIGMOID", "sigmoid"),
    "SigmoidCrossEntropyLoss": Spelling(27, "SIGMOID_CROSS_ENTROPY_LOSS"),
    "Silence": Spelling(36, "SILENCE"),
    "Slice": Spelling(33, "SLICE"),
    "Softmax": Spelling(20, "SOFTMAX", "softmax"),
    "SoftmaxWithLoss": Spelling(21, "SOFTMAX_LOSS", "softmax_loss"),
    "Split": Spelling(22, "SPLIT", "split"),
    "TanH": Spelling(23, "TANH", "tanh"),
    "Threshold": Spelling(31, "THRESHOLD"),
    "WindowData": Spelling(24, "WINDOW_DATA", "window_data"),
}

BY_NUMBER: Dict[int, str] = {spelling.number: name for name, spelling in SPELLINGS.items()}
BY_V1_WORD: Dict[str, str] = {spelling.v1: name for name, spelling in SPELLINGS.items()}
BY_V0_WORD: Dict[str, str] = {spelling.v0: name for name, spelling in SPELLINGS.items() if spelling.v0}

VECTORS = ("PReLU", "BatchNorm", "Scale", "Bias")
"""Types whose arrays have one axis. Files of the year in which they appeared still pad them to (1, 1, 1, C)."""

LOSSES = (
    "SoftmaxWithLoss",
    "Accuracy",
    "ContrastiveLoss",
    "EuclideanLoss",
    "HingeLoss",
    "InfogainLoss",
    "MultinomialLogisticLoss",
    "SigmoidCrossEntropyLoss",
    "HDF5Output",
)
"""Types that end a network: they compare with labels, count or write, and nothing reads what they make."""


def is_source(kind: str) -> bool:
    """Does this type of layer make blobs out of nothing, from files or a program? They become network inputs."""
    return kind == "Python" or kind.endswith("Data")
