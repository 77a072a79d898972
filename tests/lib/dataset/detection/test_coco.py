"""The COCO reader on real annotations and on small files made here, good ones and bad ones."""

import copy
import json

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset import notice
from fullconv.lib.dataset.detection.coco_files import ImageFinder, find_annotations
from fullconv.lib.dataset.detection.coco_format import clip_box
from fullconv.lib.dataset.detection.detection_set import entries_to_train_on, with_objects
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.tools.check import main as check

H, W = 30, 40
SQUARE = [[5, 5, 15, 5, 15, 15, 5, 15]]


def _annotation(key, image=1, **changes):
    record = {
        "id": key,
        "image_id": image,
        "category_id": 7,
        "iscrowd": 0,
        "area": 100,
        "bbox": [5, 5, 11, 11],
    }
    return {**record, "segmentation": SQUARE, **changes}


GOOD = {
    "images": [
        {"id": 1, "file_name": "one.jpg", "height": H, "width": W},
        {"id": 9, "file_name": "two.jpg", "height": H, "width": W},
    ],
    "categories": [{"id": 30, "name": "dog"}, {"id": 7, "name": "cat"}],
    "annotations": [
        _annotation(1),
        _annotation(2, category_id=30, segmentation={"size": [H, W], "counts": [30, 60, 1110]}, bbox=[1, 0, 2, 30]),
        _annotation(3, iscrowd=1),
    ],
}


@pytest.fixture
def data():
    return copy.deepcopy(GOOD)


@pytest.fixture
def write(tmp_path):
    """write(data) makes a data set of a json and two pictures; returns a function that builds it."""

    def make(data, image_set="own"):
        for name in ("annotations", "own"):
            (tmp_path / name).mkdir(exist_ok=True)
        for name in ("one.jpg", "two.jpg"):
            cv2.imwrite(str(tmp_path / "own" / name), np.zeros((H, W, 3), np.uint8))
        text = data if isinstance(data, str) else json.dumps(data)
        (tmp_path / "annotations" / "own.json").write_text(text)
        return detection_set("coco", image_set, str(tmp_path / "cache"), str(tmp_path))

    make.folder = tmp_path
    return make


def test_own_data(write, data):
    dataset = write(data)
    assert dataset.name == "COCO_own" and dataset.classes == ["__background__", "cat", "dog"]
    assert dataset.image_ids == [1, 9] and dataset.category_ids == [7, 30]
    one, two = dataset.entries()
    np.testing.assert_array_equal(one.boxes, [[5, 5, 15, 15], [1, 0, 2, 29]])
    assert one.classes.tolist() == [1, 2] and one.classes.dtype == np.int32
    masks = one.read_masks()
    assert masks.shape == (2, H, W) and masks[0, 10, 10] and not masks[0, 20, 20]
    assert masks[1, :, 1:3].all() and masks[1].sum() == 60
    assert two.read_masks().shape == (0, H, W)
    assert with_objects(dataset.entries()) == [one]


def test_only_crowd_leaves_an_empty_entry(write, data):
    data["annotations"] = [_annotation(1, iscrowd=1)]
    entries = write(data).entries()
    assert len(entries) == 2 and not len(entries[0].boxes) and not with_objects(entries)


@pytest.mark.parametrize(
    "changes, cause",
    [
        ({"iscrowd": 1}, "3 annotations are crowds, with iscrowd 1: make it 0"),
        ({"area": 0}, "3 annotations have area 0: write the area of the mask in pixels, or leave it out"),
        ({"bbox": [100, 5, 11, 11], "iscrowd": 1}, "3 annotations are crowds"),
        (None, r".*own\.json has no annotations of them"),
    ],
)
def test_why_nothing_can_be_trained_on(write, data, changes, cause):
    data["annotations"] = [_annotation(key, **changes) for key in (1, 2, 3)] if changes else []
    with pytest.raises(DatasetError, match="none of its 2 images has an object to train on: " + cause):
        entries_to_train_on(write(data))
    with pytest.raises(DatasetError, match="COCO_own_first1: .*; COCO_own: "):
        entries_to_train_on(write(data, "own[:1]+own"))


def test_one_object_is_enough(write, data):
    data["annotations"] = [_annotation(1, iscrowd=1), _annotation(2, area=0), _annotation(3)]
    dataset = write(data)
    assert entries_to_train_on(dataset) == dataset.entries()[:1]


def test_optional_fields(write, data):
    for record in data["annotations"][:2]:
        del record["iscrowd"], record["area"]
    assert len(write(data).entries()[0].boxes) == 2


def _with_text_ids(data, kinds=("images", "categories")):
    for kind, field in (("images", "image_id"), ("categories", "category_id")):
        if kind in kinds:
            for record in data[kind]:
                record["id"] = str(record["id"])
            for record in data["annotations"]:
                record[field] = str(record[field])
    return data


def test_text_ids(write, data):
    dataset = write(_with_text_ids(data))
    assert dataset.classes[1:] == ["cat", "dog"] and dataset.category_ids == ["7", "30"], "by value, not by letters"
    assert dataset.image_ids == ["1", "9"] and dataset.entries()[0].classes.tolist() == [1, 2]
    data["categories"][1]["id"] = "a"
    data["annotations"] = []
    assert write(data).category_ids == ["30", "a"]


@pytest.mark.parametrize("kind", ["images", "categories"])
def test_mixed_ids_are_refused(write, data, kind):
    data[kind][0]["id"] = str(data[kind][0]["id"])
    with pytest.raises(DatasetError, match=rf"{kind}: ids are both numbers and text, as \d+ and '\d+': make all"):
        write(data)


def test_a_reference_of_another_type_is_named(write, data):
    data["annotations"][0]["category_id"] = "7"
    with pytest.raises(DatasetError, match="'category_id' is '7', not one of categories, whose ids are numbers"):
        write(data)
    data["annotations"][0].update(category_id=7, image_id="9")
    with pytest.raises(DatasetError, match="'image_id' is '9', not one of images, whose ids are numbers"):
        write(data)


@pytest.mark.parametrize("name", ["background", "_background_", "__background__", "__ignore__"])
def test_categories_that_are_no_objects_are_left_out(write, data, name, caplog):
    data["categories"].append({"id": 1, "name": name})
    data["annotations"].append(_annotation(4, category_id=1))
    dataset = write(data)
    assert dataset.classes[1:] == ["cat", "dog"] and len(dataset.entries()[0].boxes) == 2
    assert f"category 1 ({name!r}) means" in caplog.text and "left out with its 1 annotations" in caplog.text


def test_the_root_of_roboflow_is_left_out(write, data, caplog):
    for category in data["categories"]:
        category["supercategory"] = "cat"
    data["categories"].append({"id": 0, "name": "cat", "supercategory": "none"})
    assert write(data).category_ids == [7, 30] and "category 0 ('cat') is above all others" in caplog.text
    data["annotations"].append(_annotation(4, category_id=0))
    with pytest.raises(DatasetError, match="name 'cat' is used twice"):
        write(data)


def test_no_class_at_all(write, data):
    data.update(categories=[{"id": 0, "name": "background"}], annotations=[])
    with pytest.raises(DatasetError, match="categories: there is no class of objects among them"):
        write(data)


@pytest.mark.parametrize("encoding, message", [("utf-8-sig", None), ("utf-16", "annotation file is UTF-16 text")])
def test_byte_order_marks(write, data, encoding, message):
    write(data)
    (write.folder / "annotations" / "own.json").write_text(json.dumps(data), encoding=encoding)
    if message is None:
        assert len(detection_set("coco", "own", dataset_path=str(write.folder))) == 2
    else:
        with pytest.raises(DatasetError, match=message + ".*save it as UTF-8"):
            detection_set("coco", "own", dataset_path=str(write.folder))


def test_subset_and_join(write, data):
    dataset = write(data, "own[:1]+own")
    assert dataset.image_ids == [1, 1, 9] and dataset.name == "COCO_own_first1+COCO_own"


def test_boxes_keep_fractions_and_are_clipped():
    assert clip_box([1.5, 2.25, 10.5, 4], (30, 40)) == (1.5, 2.25, 11.0, 5.25)
    assert clip_box([-3, -2, 10, 10], (30, 40)) == (0, 0, 9, 9)
    assert clip_box([35, 25, 100, 100], (30, 40)) == (35, 25, 39, 29)
    assert clip_box([5, 5, 0, 0.5], (30, 40)) == (5, 5, 5, 5)


@pytest.mark.parametrize("changes", [{"bbox": [50, 5, 4, 4]}, {"bbox": [5, 40, 4, 4]}, {"area": 0}])
def test_unusable_objects_are_left_out(write, data, changes):
    data["annotations"].append(_annotation(4, **changes))
    assert len(write(data).entries()[0].boxes) == 2


def test_degenerate_polygon_parts_are_left_out(write, data):
    data["annotations"][0]["segmentation"] = SQUARE + [[1, 1, 2, 2]]
    np.testing.assert_array_equal(write(data).entries()[0].read_masks()[0], write(GOOD).entries()[0].read_masks()[0])


BAD_ANNOTATIONS = [
    ({"image_id": 5}, r"annotation 1: field 'image_id' is 5, not one of images"),
    ({"category_id": 8}, r"annotation 1: field 'category_id' is 8, not one of categories"),
    ({"bbox": [1, 2, 3]}, r"annotation 1: field 'bbox' is \[1, 2, 3\]: give x, y, width, height"),
    ({"bbox": [1, 2, "3", 4]}, "field 'bbox'"),
    ({"bbox": [1, 2, float("nan"), 4]}, "field 'bbox'"),
    ({"area": "big"}, "field 'area' is 'big'"),
    ({"iscrowd": 2}, "field 'iscrowd' is 2: make it 0 or 1"),
    ({"segmentation": []}, "field 'segmentation' is empty: give polygons or a run-length code"),
    ({"segmentation": None}, "field 'segmentation' is NoneType"),
    ({"segmentation": [[1, 2, 3, 4]]}, "no polygon has three points"),
    ({"segmentation": [[1, 2, 3, 4, 5]]}, "polygon .* is not x1, y1"),
    ({"segmentation": [[1, 2, 3, None, 5, 6]]}, "polygon .* is not x1, y1"),
    ({"segmentation": {"size": [H, W]}}, "counts must be a list"),
    ({"segmentation": {"size": [W, H], "counts": [1200]}}, r"size \[40, 30\] is not the image's"),
    ({"segmentation": {"size": [H, W], "counts": [30, 60]}}, "counts sum to 90"),
    ({"segmentation": {"size": [H, W], "counts": [1300, -100]}}, "numbers >= 0"),
    ({"segmentation": {"size": [H, W], "counts": "~~~"}}, "not a compressed run-length string"),
    ({"segmentation": {"size": [H, W], "counts": "PPPPPPPPPPPPP1"}}, "longer than any image"),
    ({"segmentation": {"size": [H, W], "counts": ""}}, "not a compressed run-length string"),
    ({"segmentation": {"size": [H, W], "counts": "é1"}}, "not a compressed run-length string"),
]


@pytest.mark.parametrize("changes, text", BAD_ANNOTATIONS)
def test_bad_annotations(write, data, changes, text):
    data["annotations"][0].update(changes)
    with pytest.raises(DatasetError, match=r"own\.json: .*" + text):
        write(data)


@pytest.mark.parametrize("field", ["image_id", "category_id", "segmentation"])
def test_missing_fields(write, data, field):
    del data["annotations"][1][field]
    with pytest.raises(DatasetError, match=rf"own\.json: annotation 2: fields missing: {field}: add them"):
        write(data)


@pytest.mark.parametrize(
    "kind, changes, text",
    [
        ("images", {"file_name": None}, "image 1: field 'file_name' is None"),
        ("images", {"file_name": "../../etc/passwd"}, "without .."),
        ("images", {"file_name": "..\\\\one.jpg"}, "without .."),
        ("images", {"height": 0}, "field 'height' is 0"),
        ("images", {"width": "40"}, "field 'width' is '40'"),
        ("images", {"width": 10**9}, "over the limit"),
        ("images", {"id": None}, "image number 0: field 'id' is None"),
        ("images", {"id": 9}, "image 9: id 9 is used twice"),
        ("categories", {"name": ""}, "category 30: field 'name' is ''"),
        ("categories", {"name": "cat"}, "name 'cat' is used twice"),
        ("categories", {"id": 7}, "category 7: id 7 is used twice"),
        ("annotations", {"id": 2}, "annotation 2: id 2 is used twice"),
    ],
)
def test_bad_records(write, data, kind, changes, text):
    data[kind][0].update(changes)
    with pytest.raises(DatasetError, match=r"own\.json: .*" + text):
        write(data)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"images": []}', '{"images": 3}', "[" * 10**5])
def test_files_that_are_no_coco_json(write, text):
    with pytest.raises(DatasetError, match=r"own\.json: (not |field 'categories' is missing|field 'images')"):
        write(text)


@pytest.fixture
def boxes_only(data):
    """The data without a single segmentation, and one that nobody should look at."""
    for record in data["annotations"]:
        del record["segmentation"]
    data["annotations"].append(_annotation(4, image=9, segmentation="not looked at"))
    return data


def test_boxes_without_masks(write, boxes_only, data, tmp_path):
    with pytest.raises(DatasetError, match="annotation 1: fields missing: segmentation: add them"):
        write(boxes_only)
    dataset = detection_set("coco", "own", str(tmp_path / "cache"), str(tmp_path), masks=False)
    one, two = dataset.entries()
    np.testing.assert_array_equal(one.boxes, [[5, 5, 15, 15], [1, 0, 2, 29]])
    assert one.classes.tolist() == [1, 2] and len(two.boxes) == 1
    assert one.masks is None and not dataset.has_masks
    with pytest.raises(ValueError, match=r"one\.jpg: its data set has boxes without masks: .*option masks on"):
        one.read_masks()
    assert one.mirrored().masks is None and not (tmp_path / "cache").exists()


def test_joined_sets_have_masks_only_when_all_have(write, data):
    assert write(data, "own[:1]+own").has_masks
    assert not detection_set("coco", "own+own[:1]", dataset_path=str(write.folder), masks=False).has_masks


def test_boxes_are_checked_without_masks(write, boxes_only, tmp_path, capsys):
    boxes_only["annotations"][0]["bbox"] = [1, 2]
    with pytest.raises(DatasetError):
        write(boxes_only)
    with pytest.raises(DatasetError, match="annotation 1: field 'bbox' is"):
        detection_set("coco", "own", str(tmp_path), str(tmp_path), masks=False)
    boxes_only["annotations"][0]["bbox"] = [1, 2, 3, 4]
    (tmp_path / "annotations" / "own.json").write_text(json.dumps(boxes_only))
    words = ["--dataset", "coco", "--image_set", "own", "--dataset_path", str(tmp_path)]
    assert check([*words, "--boxes"]) == 0 and "2 images, 3 objects" in capsys.readouterr().out
    assert check(words) == 1 and "fields missing: segmentation" in capsys.readouterr().out


def test_masks_of_two_data_sets_do_not_share_memory(write, data):
    first, second = write(data).entries()[0], write(data).entries()[0]
    first.read_masks()
    assert first.masks.store.size > 0 == second.masks.store.size


def test_many_problems_are_summed_up(write, data):
    data["annotations"] = [_annotation(i, category_id=1) for i in range(20)]
    with pytest.raises(DatasetError, match="annotation 4: .*; and 15 more.*lib.tools.check"):
        write(data)


def test_size_of_the_file_must_be_right(write, data):
    data["images"][0]["height"] = 31
    data["annotations"] = []
    with pytest.raises(DatasetError, match=r"one\.jpg: the file is \(30, 40\).*image 1 is \(31, 40\).*correct"):
        write(data).entries()


def test_missing_files(write, data, tmp_path):
    data["images"][0]["file_name"] = "gone.jpg"
    with pytest.raises(DatasetError, match=r"gone\.jpg of image 1 is in none of .*images/own.*train2017"):
        write(data).entries()
    with pytest.raises(DatasetError, match=r"'nothing': .* none of annotations/instances_nothing\.json"):
        detection_set("coco", "nothing", str(tmp_path), str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "C:\\data\\own\\one.jpg",
        "own\\one.jpg",
        "/home/ann/own/one.jpg",
        "d:/one.jpg",
        "https://host/own/one.jpg",
        "/one.jpg",
    ],
)
def test_names_of_other_machines(write, data, name, caplog, monkeypatch):
    monkeypatch.setattr(notice, "_said", set())
    data["images"][0]["file_name"] = name
    dataset = write(data)
    for _ in range(2):
        assert dataset.read_entry(0).image == str(write.folder / "own" / "one.jpg")
    assert caplog.text.count("found here by the ends of their names") == (0 if name.startswith("own") else 1)


def test_names_of_other_machines_must_be_unambiguous(write, data):
    data["images"][0]["file_name"] = "/etc/passwd"
    with pytest.raises(DatasetError, match="/etc/passwd of image 1 is in none of"):
        write(data).entries()
    for image, folder in zip(data["images"], "ab"):
        image["file_name"] = f"/home/{folder}/one.jpg"
    dataset = write(data)
    dataset.read_entry(0)
    with pytest.raises(DatasetError, match=r"one\.jpg is the only file for image 1 and image 9: add the other"):
        dataset.read_entry(1)
    (write.folder / "images").mkdir()
    (write.folder / "images" / "one.jpg").write_bytes(b"another")
    with pytest.raises(DatasetError, match=r"/home/a/one\.jpg may be any of .*images/one\.jpg, .*own/one\.jpg"):
        write(data).read_entry(0)


def test_originals_layout(tmp_path):
    """images/<data name>/COCO_<data name>_<12 digits>.jpg, with the splits of val2014 and the test sets' files."""
    folder = tmp_path / "images" / "val2014"
    folder.mkdir(parents=True)
    (folder / "COCO_val2014_000000000042.jpg").write_bytes(b"x")
    found = ImageFinder(str(tmp_path), "minival2014").find({"id": 42, "file_name": "other.jpg"})
    assert found.endswith("images/val2014/COCO_val2014_000000000042.jpg")
    (tmp_path / "annotations").mkdir()
    for name in ("instances_minival2014", "image_info_test-dev2015"):
        (tmp_path / "annotations" / f"{name}.json").write_text("{}")
    assert find_annotations(str(tmp_path), "minival2014").endswith("instances_minival2014.json")
    assert find_annotations(str(tmp_path), "test-dev2015").endswith("image_info_test-dev2015.json")


def test_test_sets_have_no_annotations(write, data):
    del data["annotations"]
    assert [len(entry.boxes) for entry in write(data).entries()] == [0, 0]


def test_coco128(data_dir, tmp_path):
    dataset = detection_set("coco", "coco128_train", str(tmp_path), str(data_dir / "coco128"))
    assert dataset.num_classes == 81 and dataset.classes[1] == "person"
    with open(data_dir / "coco128" / "annotations" / "coco128_train.json") as file:
        raw = json.load(file)
    entries = dataset.entries()
    assert len(entries) == len(raw["images"])
    assert sum(len(entry.boxes) for entry in entries) <= sum(not a["iscrowd"] for a in raw["annotations"])
    assert len(with_objects(entries)) == len({a["image_id"] for a in raw["annotations"] if not a["iscrowd"]})
    for entry in entries[:8]:
        for box, mask in zip(entry.boxes, entry.read_masks()):
            rows, columns = np.nonzero(mask)
            tight = [columns.min(), rows.min(), columns.max(), rows.max()]
            assert np.abs(box - tight).max() <= 2


def test_check_reports(write, data, tmp_path, capsys):
    arguments = ["--dataset", "coco", "--image_set", "own", "--dataset_path", str(tmp_path)]
    arguments += ["--root_path", str(tmp_path / "cache")]
    write(data)
    assert check(arguments) == 0
    output = capsys.readouterr().out
    assert "2 images, 2 objects, 2 classes" in output and "1  cat" in output and "image 9: has no objects" in output
    (tmp_path / "own" / "two.jpg").write_bytes(b"")
    assert check(arguments) == 1
    assert "two.jpg: the image file is empty" in capsys.readouterr().out
    for record in data["annotations"]:
        record["category_id"] = 99
    with pytest.raises(DatasetError):
        write(data)
    assert check(arguments) == 1
    assert "3 errors" in capsys.readouterr().out
    assert check([*arguments[:3], "nothing", *arguments[4:]]) == 1
    assert "none of annotations/instances_nothing.json" in capsys.readouterr().out
