"""What all sets of objects share: class lists, mirrored copies, images without objects, joining."""

import numpy as np
import pytest

from fullconv.lib.dataset.detection.detection_set import (
    DetectionSet,
    JoinedDetectionSet,
    with_mirrored,
    with_objects,
)
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.structures.entry import Entry

CLASSES = ["__background__", "cat", "dog"]


class Few(DetectionSet):
    """Image k has k objects."""

    def read_entry(self, index):
        count = self.image_ids[index]
        return Entry(f"{self.name}/{count}.jpg", count, 10, 20, np.ones((count, 4)), np.ones(count))


def test_mirrored_copies_stand_behind():
    entries = Few("a", CLASSES, [1, 2]).entries()
    doubled = with_mirrored(entries)
    assert doubled[:2] == entries and [e.image_id for e in doubled] == [1, 2, 1, 2]
    assert [e.flipped for e in doubled] == [False, False, True, True]


def test_images_without_objects_are_dropped():
    entries = Few("a", CLASSES, [0, 2, 0, 1]).entries()
    assert with_objects(entries) == [entries[1], entries[3]]


def test_entries_are_read_once():
    few = Few("a", CLASSES, [1, 2])
    assert few.entries() == few.entries() and few.entries() is not few.entries()
    assert few.read_entry(0) is not few.entries()[0]


@pytest.mark.parametrize("classes, text", [(["cat"], "class list"), (CLASSES + ["cat"], r"twice: \['cat'\]")])
def test_class_list_is_checked(classes, text):
    with pytest.raises(DatasetError, match=text):
        DetectionSet("set", classes, [])


def test_joining_needs_one_class_list():
    joined = JoinedDetectionSet([Few("a", CLASSES, [1]), Few("b", CLASSES, [2, 3])])
    assert joined.name == "a+b" and joined.image_ids == [1, 2, 3] and joined.num_classes == 3
    assert [e.image for e in joined.entries()] == ["a/1.jpg", "b/2.jpg", "b/3.jpg"]
    assert [joined.read_entry(i).image for i in (0, 2, -2)] == ["a/1.jpg", "b/3.jpg", "b/2.jpg"]
    with pytest.raises(DatasetError, match="class 2 is 'dog' and 'cow'"):
        JoinedDetectionSet([Few("a", CLASSES, []), Few("b", CLASSES[:2] + ["cow"], [])])
    with pytest.raises(DatasetError, match="2 and 1 classes"):
        JoinedDetectionSet([Few("a", CLASSES, []), Few("b", CLASSES[:2], [])])


def test_every_set_has_a_store_of_its_own_and_joined_ones_share_theirs():
    one, other = Few("a", CLASSES, [1]), Few("b", CLASSES, [2])
    assert one.store is not other.store
    assert JoinedDetectionSet([one, other]).store is one.store is other.store
