"""One way of naming data sets, whatever their kind."""

import argparse

import pytest

from fullconv.lib.dataset import registry
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import DETECTION, READERS, SEGMENTATION, detection_set, segmentation_set
from fullconv.lib.dataset.segmentation.base import SegmentationSet


@pytest.mark.parametrize("kind", READERS)
def test_every_reader_can_be_loaded_and_takes_the_same_words(kind):
    base = {DETECTION: DetectionSet, SEGMENTATION: SegmentationSet}[kind]
    for name, reader in READERS[kind].items():
        assert issubclass(reader.load(), base), name
        assert not reader.folder.startswith("/")


@pytest.mark.parametrize("read, kind", [(detection_set, DETECTION), (segmentation_set, SEGMENTATION)])
def test_the_same_words_give_either_kind(tmp_path, read, kind):
    """The embedded set is one of objects and one of labels: same images, by name, set, root and path."""
    by_root = read("shapes", "train2+val[:1]", str(tmp_path))
    assert by_root.image_ids == ["train_000000", "train_000001", "val_000000"]
    by_path = read("shapes", "train[:2]", str(tmp_path / "elsewhere"), dataset_path=str(tmp_path / "shapes"))
    assert by_path.image_ids == by_root.image_ids[:2] and not (tmp_path / "elsewhere").exists()
    parser = argparse.ArgumentParser()
    registry.add_arguments(parser, kind)
    from_arguments = {DETECTION: registry.detection_from, SEGMENTATION: registry.segmentation_from}[kind]
    for words in (["--image_set", "train2", "--root_path"], ["--split", "train2", "--root"]):
        args = parser.parse_args(["--dataset", "shapes", *words, str(tmp_path)])
        assert from_arguments(args).image_ids == by_root.image_ids[:2]


@pytest.mark.parametrize(
    "read, message",
    [
        (detection_set, "dataset.dataset is 'VOC': known detection sets are PascalVOC, coco, shapes"),
        (segmentation_set, "dataset.dataset is 'VOC': known segmentation sets are voc, sbd, nyud"),
    ],
)
def test_unknown_names(read, message):
    with pytest.raises(DatasetError, match=message):
        read("VOC", "train")


@pytest.mark.parametrize("name, image_set", [("shapes", "train2"), ("PascalVOC", "shapes_train"), ("coco", "train")])
def test_every_set_of_objects_can_be_read_without_masks(tmp_path, name, image_set):
    path = str(tmp_path / "shapes")
    detection_set("shapes", "train2", dataset_path=path)
    whole = detection_set(name, image_set, str(tmp_path), path)
    boxes = detection_set(name, image_set, str(tmp_path), path, masks=False)
    assert whole.has_masks and not boxes.has_masks and boxes.name == whole.name
    for one, other in zip(boxes.entries(), whole.entries()):
        assert one.masks is None and len(other.read_masks()) == len(one.boxes) > 0
        assert one.boxes.tolist() == other.boxes.tolist() and one.classes.tolist() == other.classes.tolist()


def test_unknown_options_are_named_and_empty_ones_are_not_given(tmp_path):
    with pytest.raises(DatasetError, match="detection set 'shapes' has no option palette"):
        detection_set("shapes", "train1", str(tmp_path), palette="colours.txt")
    with pytest.raises(DatasetError, match="segmentation set 'shapes' has no option palette"):
        segmentation_set("shapes", "train1", str(tmp_path), palette="colours.txt")
    assert len(segmentation_set("shapes", "train1", str(tmp_path), palette="", void=[])) == 1
