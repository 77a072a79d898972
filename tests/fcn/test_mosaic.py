"""Mosaics: what their tiles show, and that numbers decide."""

import numpy as np
import pytest
from scipy import ndimage

from fcn.loader import SegmentationLoader
from fcn.mosaic import MIN_PIXELS, Mosaics, find_regions
from lib.dataset.imdb import DatasetError
from lib.dataset.segmentation import SegmentationSet

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


def mosaics(dataset=None, tile=32, size=(130, 200), seed=3):
    return Mosaics(dataset or Squares(), {"data": "data"}, {"label": "label"}, seed, tile, size)


def test_regions_are_the_connected_parts_that_are_large_enough():
    squares, bars = find_regions(Squares(), "label")
    assert [region[1:] for region in squares] == [(10, 40, 20, 50), (10, 41, 20, 51), (10, 42, 20, 52)]
    assert [region[0] for region in bars] == [0, 1, 2] and {region[1:] for region in bars} == {(100, 120, 30, 190)}
    assert 25 < MIN_PIXELS, "the tiny square"
    assert len(find_regions(Squares(names=("road", "square", "bar")), "label")) == 3, "only a background is left out"


def test_labels_follow_the_pixels_through_every_symmetry():
    found = mosaics()
    for number in range(12):
        sample = found.sample(number)
        assert sample["data"].shape == (3, 128, 192) and sample["label"].shape == (1, 128, 192)
        assert sample["data"].dtype == np.float32 and sample["label"].dtype == np.uint8
        for label, grey in GREY.items():
            inside = ndimage.binary_erosion(sample["label"][0] == label, iterations=2)
            off = np.abs(sample["data"][0][inside] - grey) > 1
            assert not off.size or off.mean() < 0.05, "but for the tiny square, which is blurred"


def test_every_tile_shows_a_region_as_large_as_asked():
    found, shares = mosaics(size=(64, 64), tile=64), []
    for number in range(60):
        label = found.sample(number)["label"][0]
        squares = label == 1
        if squares.any() and not (label == 2).any() and not (label == 255).any():
            parts, _ = ndimage.label(squares)
            boxes = [max(r.stop - r.start, c.stop - c.start) for r, c in ndimage.find_objects(parts)]
            shares.append(max(boxes) / 64)
    assert len(shares) > 5 and min(shares) > 0.3 and max(shares) <= 1
    bars = [number for number in range(60) if (found.sample(number)["label"] == 2).any()]
    assert 15 < len(bars) < 45, "classes are drawn evenly"


def test_the_number_decides_and_nothing_else():
    one, other = mosaics(), mosaics()
    other.sample(7)
    for name in ("data", "label"):
        np.testing.assert_array_equal(one.sample(4)[name], other.sample(4)[name])
    assert not np.array_equal(one.sample(4)["label"], one.sample(5)["label"])
    assert not np.array_equal(one.sample(4)["label"], mosaics(seed=4).sample(4)["label"])
    assert set(one.items(4)) <= {"0.png", "1.png", "2.png"}


def test_an_image_smaller_than_a_tile_makes_a_mosaic_of_one():
    assert mosaics(size=(10, 300), tile=64).sample(0)["data"].shape == (3, 64, 256)


def test_a_tile_larger_than_any_image_is_refused():
    with pytest.raises(ValueError, match=r"TRAIN\.mosaic_tile is 201, but no image of squares is more than 200 pixels"):
        mosaics(tile=201)


def test_nothing_to_cut_out():
    with pytest.raises(DatasetError, match=r"squares has no region of 200 pixels .*TRAIN\.mosaic 0"):
        mosaics(Squares(empty=True))


def test_the_loader_begins_with_mosaics_and_goes_on_as_without():
    plain = SegmentationLoader(Squares(), order="shuffle", batch=2, workers=0)
    begun = SegmentationLoader(Squares(), order="shuffle", batch=2, workers=0, mosaics=2, tile=64)
    batches = list(begun.batches(0, 4))
    assert [batch["data"].shape for batch in batches] == [(2, 3, 128, 192)] * 2 + [(2, 3, 130, 200)] * 2
    for ours, theirs in zip(batches[2:], plain.batches(2, 2)):
        np.testing.assert_array_equal(ours["data"], theirs["data"])
    np.testing.assert_array_equal(batches[1]["label"], next(begun.batches(1, 1))["label"])
    assert begun.items(0) and begun.items(2) == plain.items(2)
