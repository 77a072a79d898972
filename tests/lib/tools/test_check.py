"""The checker from the command line: PATH alone finds every form, and its config lines load."""

import json

import cv2
import numpy as np
import pytest
import yaml
from easydict import EasyDict

from fullconv.fcis import config as fcis_config
from fullconv.fcis.data import training_set as fcis_set
from fullconv.fcn import config as fcn_config
from fullconv.fcn.data import training_set as fcn_set
from fullconv.fcos import config as fcos_config
from fullconv.fcos.data import training_entries as fcos_entries
from fullconv.fcos.data import training_set as fcos_set
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.shapes import writer
from fullconv.lib.tools.check import main

H, W = 30, 40


def coco(count=1, **changes):
    images = [{"id": 1, "file_name": "a.png", "height": H, "width": W}]
    record = {"image_id": 1, "category_id": 1, "bbox": [5, 5, 11, 11], "area": 100, "iscrowd": 0}
    record.update({"segmentation": [[5, 5, 15, 5, 15, 15, 5, 15]], **changes})
    records = [{"id": i, **record} for i in range(count)]
    return {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": records}


def picture(file, values=60, shape=(H, W, 3)):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full(shape, values, np.uint8))


def write(file, data):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(data if isinstance(data, str) else json.dumps(data))


def folder_of(form, root):
    """Makes a data set of the form below root."""
    if form == "coco":
        for name in ("train", "val"):
            write(root / "annotations" / f"{name}.json", coco())
            picture(root / name / "a.png")
        write(root / "annotations" / "captions_train.json", {"images": [], "categories": 3})
    elif form in ("VOC2012", "semantic"):
        folder = root / "VOC2012"
        picture(folder / "JPEGImages" / "a.png")
        picture(folder / "SegmentationClass" / "a.png", 1, (H, W))
        if form == "VOC2012":
            picture(folder / "SegmentationObject" / "a.png", 1, (H, W))
        write(folder / "ImageSets" / ("Main" if form == "VOC2012" else "Segmentation") / "train.txt", "a\n")
        write(folder / "ImageSets" / "Main" / "cat_train.txt", "a -1\n")
        write(folder / "ImageSets" / "Main" / "boxes.txt", "b\nc\nd\n")
    elif form in ("folder", "camvid"):
        picture(root / "images" / "train" / "a.png")
        picture(root / "labels" / "train" / "a.png", 1, (H, W))
        camvid = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist".split()
        write(root / "classes.txt", "\n".join(camvid if form == "camvid" else ["sky", "cat"]))
    elif form == "colours":
        picture(root / "images" / "a.png")
        picture(root / "labels" / "a.png", 7)
        write(root / "palette.txt", "7 7 7 cat\n")
    elif form == "list":
        picture(root / "x" / "a.png")
        picture(root / "y" / "a.png", 1, (H, W))
        write(root / "train.txt", "x/a.png y/a.png\n")
        write(root / "classes.txt", "sky\ncat\n")
    else:
        writer.generate(str(root), "train", 2, cues=form == "textured_shapes")


FORMS = {
    "coco": {"FCIS": ("coco", "train", "val")},
    "VOC2012": {"FCIS": ("PascalVOC", "2012_train", "2012_train"), "FCN": ("voc", "train", "train")},
    "semantic": {"FCN": ("voc", "train", "train")},
    "folder": {"FCN": ("folder", "train", "train")},
    "camvid": {"FCN": ("camvid", "train", "train")},
    "colours": {"FCN": ("folder", "all", "all")},
    "list": {"FCN": ("folder", "train", "train")},
    "shapes": {"FCIS": ("shapes", "train2", "train2"), "FCN": ("shapes", "train2", "train2")},
    "textured_shapes": {"FCN": ("textured_shapes", "train2", "train2")},
}
METHODS = {"FCIS": (fcis_config, fcis_set), "FCN": (fcn_config, fcn_set)}


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_alone_is_enough(form, tmp_path, capsys):
    root = tmp_path / "my [data]"
    folder_of(form, root)
    assert main([str(root), "--root_path", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    lines = dict(line.split(": ", 1) for line in printed.splitlines() if line.startswith(tuple(METHODS)))
    assert lines.keys() == FORMS[form].keys(), printed
    for method, names in FORMS[form].items():
        group = yaml.safe_load(lines[method])["dataset"]
        assert (group["dataset"], group["image_set"], group["test_image_set"]) == names
        config, build = METHODS[method]
        yaml_file = tmp_path / "c.yaml"
        yaml_file.write_text(lines[method])
        loaded = config.load(str(yaml_file))
        loaded.dataset.root_path = str(tmp_path)
        assert len(build(loaded.dataset)) > 0


def test_a_json_and_one_image_set(tmp_path, capsys):
    folder_of("coco", tmp_path)
    assert main([str(tmp_path / "annotations" / "val.json"), "--root_path", str(tmp_path)]) == 0
    assert "image_set: val, test_image_set: val" in capsys.readouterr().out
    assert main([str(tmp_path), "--image_set", "val", "--root_path", str(tmp_path)]) == 0
    assert "image_set train" not in capsys.readouterr().out
    assert main([str(tmp_path), "--image_set", "gone"]) == 1
    assert "no data set gone there, but coco train, coco val" in capsys.readouterr().out


def test_both_spellings_of_options(tmp_path, capsys):
    folder_of("folder", tmp_path)
    for words in (["--image_set", "train", "--dataset_path"], ["--split", "train", "--path"]):
        assert main(["--dataset", "folder", *words, str(tmp_path), "--void", "1"]) == 0
        printed = capsys.readouterr().out
        assert "void: '1'" in printed and "(void)" in printed
    assert main([str(tmp_path), "--dataset_path", str(tmp_path)]) == 1
    assert "both given: give one" in capsys.readouterr().out
    assert main([]) == 1
    assert "name the data" in capsys.readouterr().out


def test_nothing_recognised_says_what_was_looked_for(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in ("coco", "PascalVOC, voc", "sbd", "folder, camvid", "nyud", "shapes"))
    write(tmp_path / "a" / "Annotations" / "1.xml", "<annotation/>")
    assert main([str(tmp_path)]) == 1
    assert "one per line, in ImageSets/Main/train.txt" in capsys.readouterr().out
    assert main([str(tmp_path / "gone")]) == 1
    assert "gone: no such file or folder" in capsys.readouterr().out


def test_a_voc_folder_without_lists_and_a_folder_without_classes(tmp_path, capsys):
    picture(tmp_path / "v" / "SegmentationClass" / "a.png", 1, (H, W))
    assert main([str(tmp_path / "v")]) == 1
    assert "write ImageSets/Main/train.txt" in capsys.readouterr().out
    picture(tmp_path / "f" / "labels" / "train" / "a.png", 1, (H, W))
    assert main([str(tmp_path / "f")]) == 1
    assert "classes.txt is not: write one class name per line" in capsys.readouterr().out


def test_many_problems_are_one_line_and_all_lists_them(tmp_path, capsys):
    write(tmp_path / "annotations" / "train.json", coco(5000, category_id=9))
    picture(tmp_path / "train" / "a.png")
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "error, 5000 times: annotation 0: field 'category_id' is 9" in printed
    assert "annotation 2 and 4997 more" in printed and "5000 errors, 0 notes" in printed
    assert len(printed.splitlines()) < 10 and "FCIS" not in printed
    assert main([str(tmp_path), "--all"]) == 1
    assert len(capsys.readouterr().out.splitlines()) > 5000


def test_boxes_alone_are_for_detection_without_masks(tmp_path, capsys):
    write(tmp_path / "annotations" / "train.json", {**coco(3), "annotations": []})
    data = coco(3)
    for record in data["annotations"]:
        record["segmentation"] = []
    write(tmp_path / "annotations" / "train.json", data)
    picture(tmp_path / "train" / "a.png")
    assert main([str(tmp_path), "--root_path", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "none of the 3 annotations has a segmentation" in printed and "FCIS: dataset" not in printed
    assert "for detection without masks; FCIS and InstanceFCN learn from masks" in printed and "3  cat" in printed


def boxes_of_voc(root):
    """A folder as labelling tools write it; its ids have a folder."""
    picture(root / "JPEGImages" / "b" / "1.jpg")
    box = "<xmin>5</xmin><ymin>5</ymin><xmax>15</xmax><ymax>15</ymax>"
    size = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>"
    thing = f"<object><name>cat</name><bndbox>{box}</bndbox></object>"
    write(root / "Annotations" / "b" / "1.xml", f"<annotation>{size}{thing}</annotation>")
    write(root / "ImageSets" / "Main" / "train.txt", "\ufeffb/1\n")


def test_boxes_of_voc_are_recognised_and_fcos_gets_its_lines(tmp_path, capsys):
    boxes_of_voc(tmp_path)
    for words in ([str(tmp_path)], [str(tmp_path), "--dataset", "voc_xml", "--image_set", "train"]):
        assert main(words) == 0
        printed = capsys.readouterr().out
        assert "1  cat" in printed and "FCIS: dataset" not in printed
        (line,) = [line for line in printed.splitlines() if line.startswith("FCOS: ")]
        config = tmp_path / "own.yaml"
        config.write_text(yaml.safe_dump(yaml.safe_load("{" + line[len("FCOS: ") :] + "}")))
        assert len(fcos_set(fcos_config.load(str(config))).entries()) == 1
    with pytest.raises(DatasetError, match="voc_train has boxes without masks, and FCIS learns from masks"):
        group = {"dataset": "voc_xml", "dataset_path": str(tmp_path), "image_set": "train", "root_path": ""}
        fcis_set(EasyDict(group, NUM_CLASSES=0))


def test_boxes_without_extent_leave_nothing_to_train_on(tmp_path, capsys):
    write(tmp_path / "annotations" / "train.json", coco(2, bbox=[0, 0, 0, 0], segmentation=[]))
    picture(tmp_path / "train" / "a.png")
    assert main([str(tmp_path), "--boxes"]) == 1
    printed = capsys.readouterr().out
    assert "has a box without width or height, [0.0, 0.0, 0.0, 0.0]" in printed
    assert "no object is left to train on" in printed
    config = fcos_config.load(
        None, {"DATA.dataset_path": str(tmp_path), "DATASETS.TRAIN": ["train"], "MODEL.FCOS.NUM_CLASSES": 0}
    )
    with pytest.raises(DatasetError, match="no box is wider and higher than a pixel"):
        fcos_entries(fcos_set(config))


def test_maps_that_are_all_void_leave_no_object(tmp_path, capsys):
    folder_of("VOC2012", tmp_path)
    for folder in ("SegmentationObject", "SegmentationClass"):
        picture(tmp_path / "VOC2012" / folder / "a.png", 255, (H, W))
    assert main([str(tmp_path), "--dataset", "PascalVOC", "--root_path", str(tmp_path)]) == 1
    assert "no object is left to train on" in capsys.readouterr().out


def test_a_test_set_without_annotations_is_no_error(tmp_path, capsys):
    write(tmp_path / "annotations" / "image_info_test.json", {**coco(), "annotations": []})
    picture(tmp_path / "test" / "a.png")
    assert main([str(tmp_path), "--root_path", str(tmp_path)]) == 0
    assert "0 errors, 1 notes" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{"iscrowd": 1}, {"area": 0}])
def test_a_set_without_an_object_to_train_on_is_an_error(tmp_path, capsys, changes):
    write(tmp_path / "annotations" / "train.json", coco(2, **changes))
    picture(tmp_path / "train" / "a.png")
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "no object is left to train on" in printed
    assert ("2 of 2 annotations are crowds" in printed) == ("iscrowd" in changes)
    command = f"{tmp_path}/annotations/train.json --fix {tmp_path}/annotations/train_fixed.json"
    assert f"`python -m fullconv.lib.tools.check {command}` mends" in printed
    assert main([*command.split(), "--root_path", str(tmp_path)]) == 0


def test_an_error_in_one_set_leaves_the_others(tmp_path, capsys):
    folder_of("coco", tmp_path)
    (tmp_path / "val" / "a.png").unlink()
    (tmp_path / "train" / "a.png").rename(tmp_path / "train" / "b.png")
    data = coco()
    data["images"][0]["file_name"] = "b.png"
    write(tmp_path / "annotations" / "train.json", data)
    assert main([str(tmp_path), "--root_path", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "image_set: train, test_image_set: train" in printed and "1 errors" in printed
