"""The VOC reader on small folders made here, good ones and bad ones."""

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image

from fullconv.lib.dataset.detection.detection_set import entries_to_train_on
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import ImageError
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.dataset.voc_files import VOC_CLASSES
from fullconv.lib.evaluation.evaluator import evaluator_for
from fullconv.lib.structures.detections import Detections

H, W = 30, 40


def _instances():
    instances = np.zeros((H, W), np.uint8)
    instances[2:10, 3:20] = 1
    instances[12:28, 5:12] = 2
    instances[20:25, 30:40] = 7
    instances[0] = 255
    return instances


def _classes(instances):
    classes = np.zeros(256, np.uint8)
    classes[[1, 2, 7, 255]] = 15, 3, 15, 255
    return classes[instances]


def _mat(path, field, labels):
    scipy.io.savemat(path, {field: {"Segmentation": labels}})


class Kit:
    """A devkit of one SDS set, to be damaged by tests."""

    def __init__(self, root):
        self.root, self.voc = root, root / "VOCSDS"
        for folder in ("img", "inst", "cls", "ImageSets/Main"):
            (self.voc / folder).mkdir(parents=True)
        self.list = self.voc / "ImageSets" / "Main" / "train.txt"
        self.list.write_text("one\ntwo\n\n")
        for name in ("one", "two"):
            cv2.imwrite(str(self.voc / "img" / f"{name}.jpg"), np.zeros((H, W, 3), np.uint8))
            self.write(name, _instances(), _classes(_instances()))

    def write(self, name, instances, classes):
        _mat(self.voc / "inst" / f"{name}.mat", "GTinst", instances)
        _mat(self.voc / "cls" / f"{name}.mat", "GTcls", classes)

    def build(self, image_set="SDS_train"):
        return detection_set("PascalVOC", image_set, str(self.root / "data"), str(self.root))


@pytest.fixture
def kit(tmp_path):
    return Kit(tmp_path)


def _check_entry(entry):
    np.testing.assert_array_equal(entry.boxes, [[3, 2, 19, 9], [5, 12, 11, 27], [30, 20, 39, 24]])
    assert entry.classes.tolist() == [15, 3, 15]
    assert (entry.height, entry.width, entry.flipped) == (H, W, False)
    expected = np.stack([_instances() == i for i in (1, 2, 7)])
    np.testing.assert_array_equal(entry.read_masks(), expected)


def test_sds_layout(kit):
    dataset = kit.build()
    assert dataset.name == "voc_SDS_train" and dataset.num_classes == 21 and dataset.image_ids == ["one", "two"]
    assert dataset.classes[1:] == list(VOC_CLASSES) and dataset.classes[15] == "person"
    entries = dataset.entries()
    assert [entry.image_id for entry in entries] == ["one", "two"]
    _check_entry(entries[0])


def test_default_paths(kit, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "VOCSDS").rename(tmp_path / "data" / "VOCSDS")
    (tmp_path / "data").rename(tmp_path / "VOCdevkit")
    assert len(detection_set("PascalVOC", "SDS_train", str(tmp_path)).entries()) == 2


def test_voc_layout_with_palette_pngs(kit):
    voc = kit.root / "VOC2012"
    for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Main"):
        (voc / folder).mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "trainval.txt").write_text("x 1\n")
    cv2.imwrite(str(voc / "JPEGImages" / "x.jpg"), np.zeros((H, W, 3), np.uint8))
    for folder, labels in (("Object", _instances()), ("Class", _classes(_instances()))):
        image = Image.fromarray(labels, "P")
        image.putpalette(list(range(256)) * 3)
        image.save(voc / f"Segmentation{folder}" / "x.png")
    _check_entry(kit.build("2012_trainval").entries()[0])


def test_real_voc_masks(data_dir, tmp_path):
    """Photos with palette masks in the VOC manner; the reader gives what the two maps say."""
    source = data_dir / "voc_sample"
    photos = sorted(path for path in source.rglob("*.jpg"))
    assert photos
    voc = tmp_path / "VOCx"
    for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Main"):
        (voc / folder).mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "all.txt").write_text("\n".join(path.stem for path in photos))
    for photo in photos:
        (voc / "JPEGImages" / photo.name).write_bytes(photo.read_bytes())
        for png in source.rglob(f"{photo.stem}.png"):
            folder = "SegmentationObject" if "object" in str(png.parent).lower() else "SegmentationClass"
            (voc / folder / png.name).write_bytes(png.read_bytes())
    for entry in detection_set("PascalVOC", "x_all", str(tmp_path), str(tmp_path)).entries():
        masks = entry.read_masks()
        assert len(masks) == len(entry.classes) > 0
        assert masks.any(axis=(1, 2)).all() and masks.sum(axis=0).max() == 1


@pytest.mark.parametrize("background", ["", "__background__\n", "_background_\n", "background\n"])
def test_own_classes(kit, background):
    (kit.voc / "classes.txt").write_text(f"{background}rock\npaper\n")
    with pytest.raises(DatasetError, match=r"one\.mat: instance 1 has class id 15, known are 1 to 2.*classes\.txt"):
        kit.build().entries()
    classes = _classes(_instances())
    for name in ("one", "two"):
        kit.write(name, _instances(), np.where(classes == 15, 2, np.where(classes == 3, 1, classes)))
    dataset = kit.build()
    assert dataset.classes == ["__background__", "rock", "paper"]
    assert dataset.entries()[0].classes.tolist() == [2, 1, 2]


def test_first_images_only(kit):
    dataset = kit.build("SDS_train[:1]")
    assert dataset.image_ids == ["one"] and dataset.name == "voc_SDS_train_first1" and len(dataset.entries()) == 1


def test_changed_masks_get_another_cache(kit):
    before = kit.build().entries()[0]
    before.read_masks()
    instances = _instances()
    instances[2:10, 19] = 0
    kit.write("one", instances, _classes(instances))
    after = kit.build().entries()[0]
    assert after.masks.path != before.masks.path
    assert after.read_masks()[0].sum() == before.read_masks()[0].sum() - 8


def test_image_without_objects(kit):
    kit.write("two", np.full((H, W), 255, np.uint8), np.zeros((H, W), np.uint8))
    entry = kit.build().entries()[1]
    assert entry.read_masks().shape == (0, H, W) and not (kit.root / "data").exists()


def test_instance_of_two_classes(kit):
    classes = _classes(_instances())
    classes[2:10, 3:5] = 9
    kit.write("two", _instances(), classes)
    with pytest.raises(DatasetError, match=r"two\.mat: the pixels of instance 1 have classes \[9, 15\].*correct"):
        kit.build().entries()


def test_size_mismatch(kit):
    kit.write("one", _instances()[:-1], _classes(_instances())[:-1])
    with pytest.raises(DatasetError, match=r"one\.mat: the map is \(29, 40\) but the image is \(30, 40\)"):
        kit.build().entries()


@pytest.mark.parametrize("file", ["img/one.jpg", "inst/two.mat", "cls/one.mat"])
def test_missing_files(kit, file):
    (kit.voc / file).unlink()
    with pytest.raises(DatasetError, match=r"is missing, looked for .*: add it, or take the id out of .*train\.txt"):
        kit.build().entries()


@pytest.mark.parametrize("content", [b"", b"not matlab", b"\0" * 1000])
def test_unreadable_mat(kit, content):
    (kit.voc / "inst" / "one.mat").write_bytes(content)
    with pytest.raises(
        DatasetError, match=r"one\.mat: not a MATLAB v5 file with GTinst\.Segmentation .*write it again"
    ):
        kit.build().entries()


def test_mat_of_another_kind(kit):
    scipy.io.savemat(kit.voc / "cls" / "one.mat", {"labels": np.zeros((H, W))})
    with pytest.raises(DatasetError, match=r"one\.mat: not a MATLAB v5 file with GTcls\.Segmentation"):
        kit.build().entries()
    _mat(kit.voc / "cls" / "one.mat", "GTcls", np.full((H, W), 0.5))
    with pytest.raises(DatasetError, match="float64, not integers"):
        kit.build().entries()


def test_integral_floats_are_read(kit):
    kit.write("one", _instances().astype(float), _classes(_instances()).astype(float))
    _check_entry(kit.build().entries()[0])


def test_colour_png_is_refused(kit):
    (kit.voc / "inst" / "one.mat").unlink()
    (kit.voc / "SegmentationObject").mkdir()
    Image.new("RGB", (W, H)).save(kit.voc / "SegmentationObject" / "one.png")
    with pytest.raises(DatasetError, match=r"one\.png: not a palette PNG \(its mode is RGB"):
        kit.build().entries()


def test_damaged_image(kit):
    (kit.voc / "img" / "two.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"two\.jpg: the image file is empty"):
        kit.build().entries()


def test_image_lists(kit):
    with pytest.raises(DatasetError, match=r"val\.txt: no such image list: check dataset_path and image_set"):
        kit.build("SDS_val")
    with pytest.raises(DatasetError, match="name it <year>_<list>"):
        kit.build("train")
    kit.list.write_text("one\none\n")
    with pytest.raises(DatasetError, match="one is listed twice"):
        kit.build()
    kit.list.write_text("\n")
    with pytest.raises(DatasetError, match="empty: write one image id per line"):
        kit.build()


def perfect(dataset, masks):
    """The boxes of the ground truth, each full of mask."""
    found = []
    for entry in dataset.entries():
        count = len(entry.boxes)
        full = np.ones((count, 21, 21), np.float32) if masks else None
        found.append(Detections(entry.boxes, np.linspace(0.9, 0.8, count), entry.classes, full))
    return found


def test_perfect_detections_score_one(kit, tmp_path):
    dataset = kit.build()
    result = evaluator_for(dataset, masks=True).evaluate(perfect(dataset, True), str(tmp_path))
    assert result["mAP^r@0.7 (classes with objects)"] == pytest.approx(1)


def test_perfect_boxes_score_one(kit, tmp_path):
    dataset = kit.build()
    evaluator = evaluator_for(dataset, masks=False)
    result = evaluator.evaluate(perfect(dataset, False), str(tmp_path))
    assert result["mAP@0.5"] == pytest.approx(1) and result["mAP@0.5 (11 points)"] == pytest.approx(1)
    assert "2 of 20 classes have objects" in evaluator.table(result)


def _numbered(count, kind):
    """Objects 1 to count, a pixel each, and their classes."""
    instances = np.zeros((H, W), kind)
    instances.flat[: 3 * count : 3] = np.arange(1, count + 1)
    return instances, (instances > 0).astype(np.uint8)


@pytest.mark.parametrize("form", ["png", "mat"])
def test_object_255_of_a_map_with_16_bits(kit, form):
    instances, classes = _numbered(300, np.uint16)
    if form == "png":
        for folder, labels in (("inst", instances), ("cls", classes)):
            (kit.voc / folder / "one.mat").unlink()
            Image.fromarray(labels).save(kit.voc / folder / "one.png")
    else:
        kit.write("one", instances, classes)
    entry = kit.build().read_entry(0)
    assert len(entry.boxes) == 300 and entry.read_masks().sum() == 300
    assert entry.boxes[254].tolist() == [762 % W, 762 // W] * 2


def test_void_in_a_map_with_16_bits_is_refused(kit):
    instances = _instances()
    kit.write("one", instances.astype(np.uint16), _classes(instances))
    with pytest.raises(
        DatasetError, match="255 is an object in a map of 16 bits, but its pixels are void in the class"
    ):
        kit.build().read_entry(0)


def test_class_255_of_a_map_with_16_bits(kit):
    (kit.voc / "classes.txt").write_text("\n".join(f"c{i}" for i in range(1, 301)))
    instances = np.where(_instances() == 1, 1, 0).astype(np.uint8)
    kit.write("one", instances, instances.astype(np.uint16) * 255)
    assert kit.build().read_entry(0).classes.tolist() == [255]
    kit.write("one", instances, instances.astype(np.uint16) * 301)
    with pytest.raises(DatasetError, match="instance 1 has class id 301, known are 1 to 300"):
        kit.build().read_entry(0)


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_object_255_of_a_map_with_8_bits_is_refused(kit, kind):
    kit.write("one", *_numbered(255, kind))
    with pytest.raises(DatasetError, match="255 is void in a map of 8 bits, but its pixels are of class 1"):
        kit.build().read_entry(0)


def test_doubles_above_255_have_no_void(kit):
    kit.write("one", *_numbered(256, np.float64))
    assert len(kit.build().read_entry(0).boxes) == 256


def test_masks_of_0_and_255_have_no_objects(kit):
    for name in ("one", "two"):
        kit.write(name, np.where(_instances() == 1, 255, 0).astype(np.uint8), np.zeros((H, W), np.uint8))
    with pytest.raises(DatasetError, match="no.* object to train on: their instance maps hold 0.* 255, void, alone"):
        entries_to_train_on(kit.build())


def test_masks_as_cvat_exports_them(kit):
    (kit.voc / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:0,9,0::\ndog:9,0,0::\n"
    )
    colours = np.zeros((256, 3), np.uint8)
    colours[[1, 2, 7]] = [0, 0, 255], [1, 0, 0], [0, 1, 0]
    colours[255] = 224, 224, 192
    kinds = np.zeros((256, 3), np.uint8)
    kinds[[1, 2, 7]] = [0, 9, 0], [9, 0, 0], [0, 9, 0]
    for folder, table in (("inst", colours), ("cls", kinds)):
        (kit.voc / folder / "one.mat").unlink()
        Image.fromarray(table[_instances()]).save(kit.voc / folder / "one.png")
    dataset = kit.build()
    entry = dataset.read_entry(0)
    assert dataset.classes[1:] == ["cat", "dog"]
    # Objects are in the order of their colours: 255, 256, 65536.
    np.testing.assert_array_equal(entry.boxes, [[3, 2, 19, 9], [30, 20, 39, 24], [5, 12, 11, 27]])
    assert entry.classes.tolist() == [1, 1, 2]
    np.testing.assert_array_equal(entry.read_masks(), np.stack([_instances() == i for i in (1, 7, 2)]))


def test_maps_of_one_bit(kit):
    (kit.voc / "classes.txt").write_text("cell")
    for folder in ("inst", "cls"):
        (kit.voc / folder / "one.mat").unlink()
        Image.fromarray(_instances() == 1).save(kit.voc / folder / "one.png")
    assert kit.build().read_entry(0).boxes.tolist() == [[3, 2, 19, 9]]


def test_a_jpeg_in_the_place_of_a_map_is_named(kit):
    (kit.voc / "inst" / "one.mat").unlink()
    Image.fromarray(_instances()).save(kit.voc / "inst" / "one.jpg")
    with pytest.raises(DatasetError, match=r"one\.jpg: JPEG changes the values of a label"):
        kit.build().read_entry(0)
    (kit.voc / "inst" / "one.jpg").rename(kit.voc / "inst" / "one.png")
    with pytest.raises(DatasetError, match=r"one\.png.* a JPEG by its content"):
        kit.build().read_entry(0)
