"""The page of ground truth: every form the checker takes is drawn."""

import json

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.shapes import writer
from fullconv.lib.tools.show import main

H, W = 60, 80
MASK = [[10, 10, 60, 10, 60, 50, 10, 50]]


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train").mkdir()
    images, records = [], []
    for i in range(3):
        cv2.imwrite(str(tmp_path / "train" / f"{i}.png"), np.full((H, W, 3), 90, np.uint8))
        images.append({"id": i, "file_name": f"{i}.png", "height": H, "width": W})
        records.append({"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 50, 40], "segmentation": MASK})
    data = {"images": images, "annotations": records, "categories": [{"id": 1, "name": "cat"}]}
    file = tmp_path / "annotations" / "train.json"
    file.write_text(json.dumps(data))
    return tmp_path, data, file


def read(page):
    pictures = sorted((page.parent / "images").iterdir())
    return page.read_text(), [cv2.imread(str(picture)) for picture in pictures]


def test_objects(coco, capsys):
    folder, data, file = coco
    out = folder / "out"
    assert main([str(folder), "--first", "2", "--out", str(out), "--root_path", str(folder)]) == 0
    assert f"{out}/index.html: 2 pictures" in capsys.readouterr().out
    page, pictures = read(out / "index.html")
    assert "coco train/0.png" in page and "1 cat" in page and "2.png" not in page
    inside = pictures[0][40, 50].astype(int)
    assert np.abs(inside - 90).max() > 20 and np.abs(pictures[0][2, 75].astype(int) - 90).max() < 8


def test_boxes_without_masks_are_drawn(coco):
    folder, data, file = coco
    for record in data["annotations"]:
        del record["segmentation"]
    file.write_text(json.dumps(data))
    out = folder / "out"
    assert main([str(file), "--out", str(out), "--root_path", str(folder)]) == 0
    _, pictures = read(out / "index.html")
    assert len(pictures) == 3 and np.abs(pictures[0][40, 40].astype(int) - 90).max() < 8, "no mask is drawn"
    assert np.abs(pictures[0][10:51, 58:63].astype(int) - 90).max() > 50, "the box is"


def test_what_cannot_be_read_is_named_and_the_rest_drawn(coco, capsys):
    folder, data, file = coco
    (folder / "train" / "1.png").unlink()
    assert main([str(folder), "--out", str(folder / "out"), "--root_path", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "error: 1.png of image 1 is in none of" in printed and "index.html: 2 pictures" in printed
    file.rename(folder / "train" / "_annotations.coco.json")
    assert main([str(folder), "--out", str(folder / "out")]) == 1
    assert f"--fix {folder}/annotations/train.json` writes them" in capsys.readouterr().out
    assert main([str(folder / "out")]) == 1
    assert "no data set is recognised" in capsys.readouterr().out


def test_objects_and_labels_of_shapes(tmp_path):
    writer.generate(str(tmp_path / "s"), "train", 2)
    out = tmp_path / "out"
    assert main([str(tmp_path / "s"), "--out", str(out), "--root_path", str(tmp_path)]) == 0
    page, pictures = read(out / "index.html")
    assert len(pictures) == 4 and "shapes train2/train_000000.jpg" in page and "background " in page


def test_every_task_is_drawn(reference_dir, tmp_path):
    out = tmp_path / "out"
    folder = reference_dir / "fcn" / "data" / "siftflow"
    assert main([str(folder), "--image_set", "test", "--first", "1", "--out", str(out)]) == 0
    page, pictures = read(out / "index.html")
    assert len(pictures) == 2 and "(sem)" in page and "(geo)" in page
