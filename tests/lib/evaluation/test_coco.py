"""COCO evaluation: equal to plain pycocotools, the results file, test sets, and ids that pycocotools loses."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fullconv.lib.evaluation.coco import SUMMARY, CocoEvaluator
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.structures.detections import Detections

CLASSES = ["__background__", "person", "kite", "skis"]
CATEGORY_IDS = [1, 38, 35]
SIZE = (120, 160)
IMAGE_IDS = [42, 7, 139]


def ellipse(rng):
    """(polygon, box) of a random ellipse; the box has inclusive ends."""
    centre, axes = rng.uniform([30, 30], [130, 90]), rng.uniform(4, 28, 2)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = centre + axes * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points.reshape(-1).tolist(), np.concatenate([centre - axes, centre + axes - 1])


def make_case(seed=0):
    """A COCO file's content with results that mostly fit it."""
    rng = np.random.RandomState(seed)
    yy, xx = np.mgrid[-1:1:21j, -1:1:21j]
    annotations = []
    boxes = [[[] for _ in IMAGE_IDS] for _ in CLASSES]
    for i, image_id in enumerate(IMAGE_IDS):
        for _ in range(6):
            polygon, box = ellipse(rng)
            c = int(rng.choice([1, 2]))  # "skis" never occurs
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORY_IDS[c - 1],
                    "segmentation": [polygon],
                    "bbox": [box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1],
                    "area": float((box[2] - box[0]) * (box[3] - box[1]) * np.pi / 4),
                    "iscrowd": int(rng.rand() < 0.1),
                }
            )
            for _ in range(rng.randint(0, 3)):
                boxes[c][i].append([*(box + rng.normal(0, 3, 4)), rng.rand()])
    blob = (1.3 - xx**2 - yy**2).clip(0, 1).astype(np.float32)
    detections = []
    for i in range(len(IMAGE_IDS)):
        labels = [c for c, row in enumerate(boxes) for _ in row[i]]
        rows = np.array([box for row in boxes for box in row[i]]).reshape(-1, 5)
        detections.append(Detections(rows[:, :4], rows[:, 4], labels, np.repeat(blob[None], len(rows), axis=0)))
    images = [{"id": i, "height": SIZE[0], "width": SIZE[1], "file_name": f"{i}.jpg"} for i in IMAGE_IDS]
    categories = [{"id": i, "name": name} for i, name in zip(CATEGORY_IDS, CLASSES[1:])]
    return {"images": images, "categories": categories, "annotations": annotations}, detections


def evaluator(tmp_path, data, **changes):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(data))
    arguments = {
        "annotation_file": str(path),
        "image_ids": IMAGE_IDS,
        "image_sizes": [SIZE] * len(IMAGE_IDS),
        "category_ids": CATEGORY_IDS,
        "classes": CLASSES,
        **changes,
    }
    return CocoEvaluator(**arguments)


def evaluate(tmp_path, data, detections, **changes):
    return evaluator(tmp_path, data, **changes).evaluate(detections, str(tmp_path / "results"))


def without_masks(detections):
    return [Detections(found.boxes, found.scores, found.labels) for found in detections]


def plain_pycocotools(annotation_file, results_file, kind, image_ids, category_ids):
    truth = COCO(str(annotation_file))
    run = COCOeval(truth, truth.loadRes(str(results_file)), kind)
    run.params.imgIds, run.params.catIds = image_ids, category_ids
    run.evaluate()
    run.accumulate()
    run.summarize()
    return run.stats.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_plain_pycocotools(tmp_path, capsys, seed):
    result = evaluate(tmp_path, *make_case(seed))
    assert capsys.readouterr().out == ""
    written = tmp_path / "results" / "detections_results_results.json"
    expected = plain_pycocotools(tmp_path / "annotations.json", written, "segm", IMAGE_IDS, CATEGORY_IDS)
    assert [result[name] for name in SUMMARY] == expected
    assert 0.1 < result["AP@0.5"] < 1 and result["AR large"] == -1 and result["AP/skis"] == -1
    assert result["AP"] == pytest.approx((result["AP/person"] + result["AP/kite"]) / 2)


def box_rows(found):
    return zip(found.boxes.clip(0, [159, 119, 159, 119]).tolist(), found.scores.tolist())


def test_boxes_are_equal_to_plain_pycocotools(tmp_path):
    data, detections = make_case()
    result = evaluate(tmp_path, data, detections)
    records = [
        {
            "image_id": image_id,
            "category_id": CATEGORY_IDS[c - 1],
            "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
            "score": score,
        }
        for c in (1, 2, 3)
        for i, image_id in enumerate(IMAGE_IDS)
        for (x1, y1, x2, y2), score in box_rows(detections[i].of_class(c))
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(records))
    expected = plain_pycocotools(
        tmp_path / "annotations.json", tmp_path / "boxes.json", "bbox", IMAGE_IDS, CATEGORY_IDS
    )
    assert [result["box " + name] for name in SUMMARY] == expected


def test_results_file_is_official_sorted_and_reproducible(tmp_path):
    case = make_case()
    evaluate(tmp_path, *case, result_name="val")
    path = tmp_path / "results" / "detections_val_results.json"
    first = path.read_bytes()
    evaluate(tmp_path, *case, result_name="val")
    assert path.read_bytes() == first
    records = json.loads(first)
    assert len(records) == sum(map(len, case[1]))
    for record in records:
        assert list(record) == ["category_id", "image_id", "score", "segmentation"]
        assert record["segmentation"]["size"] == list(SIZE)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_only_the_images_asked_for_count(tmp_path):
    data, detections = make_case()
    whole = evaluate(tmp_path, data, detections)
    first = detections[:1]
    part = evaluate(tmp_path, data, first, image_ids=IMAGE_IDS[:1], image_sizes=[SIZE])
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] == IMAGE_IDS[0]]
    assert part == evaluate(tmp_path, data, first, image_ids=IMAGE_IDS[:1], image_sizes=[SIZE])
    assert part["AP"] != whole["AP"]


def test_a_test_set_is_written_and_not_scored(tmp_path):
    data, detections = make_case()
    del data["annotations"]
    assert evaluate(tmp_path, data, detections, result_name="test-dev") == {}
    assert (tmp_path / "results" / "detections_test-dev_results.json").exists()
    assert "nothing was scored" in evaluator(tmp_path, data).table({})


def test_no_detections_score_zero(tmp_path):
    data, detections = make_case()
    result = evaluate(tmp_path, data, [Detections.empty(21)] * 3)
    assert result["AP"] == 0 and result["AP/skis"] == -1


def test_a_score_of_zero_comes_with_its_cause(tmp_path, caplog):
    data, detections = make_case()
    swapped = [dataclasses.replace(f, labels=np.array([0, 2, 1, 3])[f.labels]) for f in detections]
    with caplog.at_level("WARNING"):
        result = evaluate(tmp_path, data, swapped)
    assert result["AP@0.5"] < 0.2
    far = [dataclasses.replace(f, boxes=f.boxes * 0 + [140, 1, 150, 6]) for f in detections]
    with caplog.at_level("WARNING"):
        evaluate(tmp_path, data, far)
    assert "no box overlaps an object of its class" in caplog.text


def test_missing_keys_and_ids_from_zero_do_not_change_the_score(tmp_path):
    data, detections = make_case()
    for annotation in data["annotations"]:
        annotation["iscrowd"] = 0
    bare = copy.deepcopy(data)
    for annotation in bare["annotations"]:
        annotation["id"] -= 1  # pycocotools takes the match with id 0 for no match
        del annotation["iscrowd"]
    assert evaluate(tmp_path, bare, detections) == evaluate(tmp_path, data, detections)
    for annotation in bare["annotations"]:
        del annotation["area"]
    assert evaluate(tmp_path, bare, detections)["AP"] > 0


def test_numpy_ids_are_fine(tmp_path):
    data, detections = make_case()
    changed = evaluate(tmp_path, data, detections, image_ids=np.array(IMAGE_IDS))
    assert changed == evaluate(tmp_path, data, detections)


@pytest.mark.parametrize("write", [str, lambda number: f"set/{number:04d}.jpg"])
def test_ids_may_be_text(tmp_path, write):
    """Scores are those of the same data with numbers, and the results have the file's ids."""
    data, detections = make_case()
    expected = evaluate(tmp_path, data, detections)
    text = copy.deepcopy(data)
    for record in [*text["images"], *text["categories"]]:
        record["id"] = write(record["id"])
    for record in text["annotations"]:
        record["image_id"], record["category_id"] = write(record["image_id"]), write(record["category_id"])
    ids = {"image_ids": [write(i) for i in IMAGE_IDS], "category_ids": [write(i) for i in CATEGORY_IDS]}
    assert evaluate(tmp_path, text, detections, **ids) == expected
    records = json.loads((tmp_path / "results" / "detections_results_results.json").read_text())
    assert {r["image_id"] for r in records} == set(ids["image_ids"])
    assert {r["category_id"] for r in records} <= set(ids["category_ids"])
    far = [Detections([[0, 0, 3, 3]], [0.9], [1], np.ones((1, 21, 21), np.float32))] * 3
    assert evaluate(tmp_path, text, far, **ids)["AP"] < 0.1


def test_boxes_alone_need_no_segmentation(tmp_path):
    """The box scores are those of the run with masks, and the results file has boxes."""
    data, detections = make_case()
    whole = evaluate(tmp_path, data, detections)
    for annotation in data["annotations"]:
        del annotation["segmentation"]
    boxes = without_masks(detections)
    with pytest.raises(EvaluationError, match="fields missing: segmentation"):
        evaluate(tmp_path, data, detections)
    found = evaluate(tmp_path, data, boxes, masks=False, result_name="boxes")
    assert found == {key: value for key, value in whole.items() if key.startswith("box ")} and found["box AP"] > 0
    records = json.loads((tmp_path / "results" / "detections_boxes_results.json").read_text())
    assert all(list(record) == ["bbox", "category_id", "image_id", "score"] for record in records)
    table = evaluator(tmp_path, data, masks=False).table(found)
    assert "mask" not in table and f"{100 * found['box AP']:.2f}" in table


def test_boxes_alone_complete_and_ignore_what_nobody_checks(tmp_path):
    data, detections = make_case()
    boxes = without_masks(detections)
    expected = evaluate(tmp_path, data, boxes, masks=False)
    for annotation in data["annotations"]:
        annotation["segmentation"] = "nonsense"
    assert evaluate(tmp_path, data, boxes, masks=False) == expected
    for annotation in data["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    assert evaluate(tmp_path, data, boxes, masks=False)["box AP"] > 0


def test_masks_that_were_announced_must_be_there(tmp_path):
    data, detections = make_case()
    with pytest.raises(EvaluationError, match="boxes without masks"):
        evaluate(tmp_path, data, without_masks(detections))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_ids": [42, 7, 1]}, "1 of 3 image ids, e.g. 1, are not in"),
        ({"category_ids": [1, 2, 3]}, "category id 2 .'kite'. is not in"),
        ({"classes": ["__background__", "kite", "person", "skis"]}, "is 'kite' in the results but 'person'"),
        ({"image_sizes": [(120, 160), (60, 80), (120, 160)]}, r"image 7 is \(60, 80\)"),
        ({"classes": CLASSES[:2], "category_ids": [1]}, "results have class 2, but the data set has 2 classes"),
    ],
)
def test_impossible_input(tmp_path, change, message):
    with pytest.raises(EvaluationError, match=message):
        evaluate(tmp_path, *make_case(), **change)


@pytest.mark.parametrize(
    "segmentation, message",
    [
        ([[0, 0, 1e9, 0, 1e9, 1e9]], "reaches 1e"),
        ([[1, 2, 3, 4]], "no polygon has three points"),
        ({"size": [120, 160], "counts": [5, 5]}, "counts sum to 10"),
        ({"size": [120, 160], "counts": "zzzz\x7f"}, "not a compressed run-length string"),
        ({"size": [9, 9], "counts": [81]}, "is not the image's"),
        ([], "is empty"),
    ],
)
def test_annotations_that_would_crash_pycocotools(tmp_path, segmentation, message):
    data, detections = make_case()
    data["annotations"][2]["segmentation"] = segmentation
    with pytest.raises(EvaluationError, match=message):
        evaluate(tmp_path, data, detections)


def test_a_file_that_is_not_there_or_not_coco(tmp_path):
    data, detections = make_case()
    with pytest.raises(ValueError, match="no such annotation file"):
        evaluate(tmp_path, data, detections, annotation_file=str(tmp_path / "absent.json"))
    with pytest.raises(ValueError, match="is it a COCO file"):
        evaluate(tmp_path, {"images": 3}, detections)


def test_table_prints_absent_kinds_as_not_available(tmp_path):
    data, detections = make_case()
    table = evaluator(tmp_path, data).table(evaluate(tmp_path, data, detections))
    large = next(line for line in table.splitlines() if line.startswith("AP large"))
    assert large.split()[-2:] == ["n/a", "n/a"] and "-1" not in table
    assert "AP/kite" in table
