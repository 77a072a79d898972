"""What all data sets share: names of image sets, mirrored copies, filtering, joining."""

import numpy as np
import pytest

from fullconv.lib.dataset import DatasetError, append_flipped, build, filter_roidb
from fullconv.lib.dataset.detection.imdb import IMDB, ConcatIMDB, make_entry, parse_image_set

CLASSES = ["__background__", "cat", "dog"]


def _entry(boxes, width=20):
    return make_entry("a.jpg", 1, (10, width), boxes, np.ones(len(boxes)), "a.hkl", None)


@pytest.mark.parametrize(
    "text, parts",
    [
        ("train", [("train", None)]),
        ("train2014+valminusminival2014", [("train2014", None), ("valminusminival2014", None)]),
        ("coco128_train[:12]", [("coco128_train", 12)]),
        ("a[:3] + sub/b", [("a", 3), ("sub/b", None)]),
    ],
)
def test_image_set_names(text, parts):
    assert parse_image_set(text) == parts


@pytest.mark.parametrize("text", ["", "a+", "a[:0]", "a[2:5]", "a[:x]", "[:3]"])
def test_bad_image_set_names(text):
    with pytest.raises(DatasetError, match="image_set"):
        parse_image_set(text)


def test_flipping_mirrors_boxes():
    entry = _entry([[0, 2, 4, 6], [5.5, 0, 19, 9]])
    roidb = append_flipped([entry])
    assert len(roidb) == 2 and roidb[0] is entry and roidb[1]["flipped"]
    np.testing.assert_array_equal(roidb[1]["boxes"], [[15, 2, 19, 6], [0, 0, 13.5, 9]])
    assert roidb[1]["boxes"].dtype == np.float32


def test_flipping_twice_is_the_identity():
    entry = _entry(np.random.RandomState(0).rand(7, 4) * 9)
    twice = append_flipped(append_flipped([entry])[1:])[1]
    np.testing.assert_allclose(twice["boxes"], entry["boxes"], atol=1e-5)
    assert not twice["flipped"]


def test_entry_types():
    entry = _entry([[0, 1, 2, 3]])
    assert entry["boxes"].dtype == np.float32 and entry["gt_classes"].dtype == np.int32
    assert entry["max_overlaps"].dtype == np.float32 and entry["masks"] == "a.hkl"
    empty = _entry([])
    assert empty["masks"] is None and empty["boxes"].shape == (0, 4) and empty["gt_classes"].shape == (0,)


def test_filter_keeps_entries_with_something_to_train_on():
    full, empty, low = _entry([[0, 0, 1, 1]]), _entry([]), _entry([[0, 0, 1, 1]])
    low["max_overlaps"] = np.array([0.05], np.float32)
    assert filter_roidb([full, empty, low], 0.5, 0.5, 0.1) == [full]
    assert len(filter_roidb([full, empty, low], 0.5, 0.5, 0.0)) == 2


@pytest.mark.parametrize("classes, text", [(["cat"], "class list"), (CLASSES + ["cat"], r"twice: \['cat'\]")])
def test_class_list_is_checked(classes, text):
    with pytest.raises(DatasetError, match=text):
        IMDB("set", classes, [])


def test_joining_needs_one_class_list():
    joined = ConcatIMDB([IMDB("a", CLASSES, [1]), IMDB("b", CLASSES, [2, 3])])
    assert joined.name == "a+b" and joined.image_ids == [1, 2, 3] and joined.num_classes == 3
    with pytest.raises(DatasetError, match="one at a time"):
        joined.evaluate_masks([], [], "")
    with pytest.raises(DatasetError, match="class 2 is 'dog' and 'cow'"):
        ConcatIMDB([IMDB("a", CLASSES, []), IMDB("b", CLASSES[:2] + ["cow"], [])])
    with pytest.raises(DatasetError, match="2 and 1 classes"):
        ConcatIMDB([IMDB("a", CLASSES, []), IMDB("b", CLASSES[:2], [])])


def test_unknown_data_set():
    with pytest.raises(DatasetError, match="'VOC': known data sets are PascalVOC, coco, shapes"):
        build("VOC", "train")
