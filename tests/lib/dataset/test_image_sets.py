"""Names of image sets, and where an image of several sets is."""

import pytest

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image_sets import ImageSet, Parts, parse_image_set, read_parts, unique_ids


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


def test_a_limit_is_in_the_name():
    whole, part = ImageSet("a", "wxyz"), ImageSet("a", "wxyz", 2)
    assert (whole.name, len(whole), part.name, part.image_ids) == ("a", 4, "a_first2", ["w", "x"])


def test_a_folder_in_a_list_is_none_in_file_names():
    assert ImageSet("voc_sub/a", "x").name == "voc_sub_a"


def test_unique_ids():
    assert unique_ids(["a/1", "b/1"]) == ["a/1", "b/1"]
    assert unique_ids(["a/1", "2", "a/1"]) == ["a/000000_1", "000001_2", "a/000002_1"]


def test_places_in_parts():
    parts = Parts([ImageSet("a", "xy"), ImageSet("b", ""), ImageSet("c", "z")])
    assert parts.name == "a+b+c" and parts.image_ids == ["x", "y", "z"]
    assert [(part.name, place) for part, place in map(parts.at, (0, 1, 2, -1))] == [
        ("a", 0),
        ("a", 1),
        ("c", 0),
        ("c", 0),
    ]
    with pytest.raises(IndexError):
        parts.at(3)


def test_one_part_is_not_joined():
    def read(name, limit):
        return ImageSet(name, "uvw", limit)

    assert read_parts("a[:1]", read, lambda parts: None).name == "a_first1"
    assert read_parts("a+b[:2]", read, lambda parts: [part.name for part in parts]) == ["a", "b_first2"]
