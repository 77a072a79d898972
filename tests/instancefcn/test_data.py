"""instancefcn.data and instancefcn.test: sets without masks, without objects, with groups alone."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from fullconv.instancefcn import config as instancefcn_config
from fullconv.instancefcn.data import training_entries, training_set
from fullconv.instancefcn.test import all_overlaps, named_scores
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.evaluation.average_recall import recall
from fullconv.lib.evaluation.proposal_files import Segments
from fullconv.lib.mask.encode import encode_mask


def coco(folder, annotations):
    """Two pictures, the annotations being of the first."""
    (folder / "train").mkdir(exist_ok=True)
    for number in (1, 2):
        cv2.imwrite(str(folder / "train" / f"{number}.png"), np.full((40, 60, 3), 90, np.uint8))
    images = [{"id": n, "file_name": f"{n}.png", "height": 40, "width": 60} for n in (1, 2)]
    records = [{"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0, **a} for n, a in enumerate(annotations, 1)]
    content = {"images": images, "annotations": records, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "train.json").write_text(json.dumps(content))
    pairs = {"dataset.dataset": "coco", "dataset.image_set": "train", "dataset.dataset_path": str(folder)}
    return instancefcn_config.load(None, {**pairs, "dataset.root_path": str(folder)}).dataset


def square(**changes):
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:30] = True
    return {"bbox": [10, 10, 20, 20], "area": 400, "segmentation": encode_mask(mask), **changes}


def test_images_without_objects_are_left_out_or_kept_on_demand(tmp_path):
    data = training_set(coco(tmp_path, [square()]))
    assert [len(training_entries(data, empty)) for empty in (False, True)] == [1, 2]


@pytest.mark.parametrize("annotations, why", [([], "has no annotations"), ([square(iscrowd=1)], "1 annotations")])
def test_nothing_to_train_on_says_why(tmp_path, annotations, why):
    data = training_set(coco(tmp_path, annotations))
    for empty in (False, True):
        with pytest.raises(DatasetError, match=f"(?s)none of its 2 images has an object to train on.*{why}"):
            training_entries(data, empty)


def test_boxes_alone_are_not_enough(tmp_path):
    record = square()
    del record["segmentation"]
    with pytest.raises(DatasetError, match="segmentation"):
        training_set(coco(tmp_path, [record]))


def test_recall_where_there_are_no_objects(tmp_path):
    entries = training_set(coco(tmp_path, [square(iscrowd=1)])).entries()
    none = [Segments([], np.zeros(0))] * 2
    for name, overlaps in all_overlaps(entries, none, gap=2).items():
        scores = named_scores({name: recall(overlaps, [10])})
        assert list(scores) == [f"AR@10{name}"] and math.isnan(scores[f"AR@10{name}"])
    entries = training_set(coco(tmp_path, [square()])).entries()
    perfect = [Segments([square()["segmentation"]], np.ones(1)), none[0]]
    overlaps = all_overlaps(entries, perfect, gap=2)
    assert named_scores({"": recall(overlaps[""], [10])}) == {"AR@10": 1.0}
    assert overlaps[" (touching)"][0].shape == (1, 0)
