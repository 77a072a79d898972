"""Crops: what they show, and that numbers decide."""

import numpy as np
import pytest
from scipy import ndimage

from fullconv.fcn.crops import MIN_PIXELS, SHARE, CropSource, Regions, find_regions
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EndlessSampler
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.base import SegmentationSet

GREY = {0: 20, 1: 120, 2: 220}
"""Brightness of every class in the pictures below."""


class Squares(SegmentationSet):
    """Images whose pixels tell their class: a large and a tiny square of class 1, a long bar of class 2, some void."""

    def __init__(self, count=3, empty=False, names=("background", "square", "bar")):
        self.empty = empty
        super().__init__("squares", [str(i) for i in range(count)], {"label": names}, {"data": np.zeros(3)})

    def size(self, index):
        return 130, 200

    def image_file(self, index, name="data"):
        return f"{index}.png"

    def read_label(self, index, task="label", check=True):
        labels = np.zeros((130, 200), np.uint8)
        if not self.empty:
            labels[10 : 40 + index, 20 : 50 + index] = 1
            labels[60:65, 60:65] = 1
            labels[100:120, 30:190] = 2
            labels[0:30, 150:200] = 255
        return labels

    def read_input(self, index, name="data"):
        grey = np.zeros(256, np.uint8)
        grey[list(GREY)] = list(GREY.values())
        return np.repeat(grey[self.read_label(index)][..., None], 3, axis=2)


def crops(length, dataset=None, size=32, seed=3, batch=6):
    """Pieces of `length` batches."""
    dataset = dataset or Squares()
    regions = find_regions(dataset, "label")
    source = CropSource(dataset, regions, {"data": "data"}, {"label": "label"}, seed, batch, size)
    return EpochLoader(EndlessSampler(lambda start, number: [0] * number, length, batch), source, workers=0)


def test_regions_are_the_connected_parts_that_are_large_enough():
    squares, bars = find_regions(Squares(), "label")
    assert [region[2:] for region in squares] == [(10, 40, 20, 50), (10, 41, 20, 51), (10, 42, 20, 52)]
    assert [region[:2] for region in bars] == [(0, 2), (1, 2), (2, 2)]
    assert {region[2:] for region in bars} == {(100, 120, 30, 190)}
    assert 25 < MIN_PIXELS, "the tiny square"
    assert len(find_regions(Squares(names=("road", "square", "bar")), "label")) == 3, "only a background is left out"


def test_regions_are_found_once_by_their_owner():
    dataset, calls = Squares(), []
    read = dataset.read_label
    dataset.read_label = lambda *args: calls.append(args) or read(*args)
    regions = Regions(dataset)
    assert not calls and regions.of("label") is regions.of("label") and len(calls) == len(dataset)
    assert Regions(dataset).of("label") == regions.of("label") and len(calls) == 2 * len(dataset)


def test_labels_say_what_is_shown_and_classes_come_evenly():
    labels = []
    for batch in crops(12, size=64, batch=8).epoch(0):
        assert batch["data"].shape == (8, 3, 64, 64) and batch["data"].dtype == np.float32
        assert batch["label"].shape == (8, 1, 1, 1) and batch["label"].dtype == np.uint8
        for image, label in zip(batch["data"], batch["label"].ravel().tolist()):
            middle = image[0, 26:38, 26:38]
            shown = {of: (np.abs(middle - grey) < 2).sum() for of, grey in GREY.items()}
            assert shown[label] > shown[3 - label]
            labels.append(label)
    assert 35 < labels.count(1) < 61 and set(labels) == {1, 2}


def test_regions_fill_as_much_of_a_crop_as_said():
    shares = []
    for batch in crops(12, size=64, batch=8).epoch(0):
        for image, label in zip(batch["data"], batch["label"].ravel().tolist()):
            if label == 1:
                parts, _ = ndimage.label(np.abs(image[0] - GREY[1]) < 30)
                part = ndimage.find_objects(parts)[parts[32, 32] - 1]
                shares.append(max(side.stop - side.start for side in part) / 64)
    assert SHARE[0] - 0.05 < min(shares) < 0.7 and 0.85 < max(shares) <= 1


def test_the_number_decides_and_nothing_else():
    first, *_, last = crops(3).epoch(1)
    (again,) = crops(1).epoch(5)
    for name in ("data", "label"):
        np.testing.assert_array_equal(last[name], again[name])
    assert not np.array_equal(first["data"], last["data"])
    assert not np.array_equal(first["data"], next(crops(3, seed=4).epoch(1))["data"])
    assert set(crops(4).items(1, 0)) <= {"0.png", "1.png", "2.png"}


def test_nothing_to_cut_out():
    with pytest.raises(DatasetError, match=r"squares has no region of 200 pixels .*train without vgg16-classifier"):
        crops(1, Squares(empty=True))
