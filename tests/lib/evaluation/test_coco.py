"""COCO evaluation: equal to plain pycocotools, the results file, test sets, and ids that pycocotools loses."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fullconv.lib.evaluation.coco import SUMMARY, evaluate_coco, format_table
from fullconv.lib.evaluation.sanity import EvaluationError

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
    boxes = [[np.array(b).reshape(-1, 5) for b in row] for row in boxes]
    blob = (1.3 - xx**2 - yy**2).clip(0, 1).astype(np.float32)
    masks = [[np.repeat(blob[None], len(b), axis=0) for b in row] for row in boxes]
    images = [{"id": i, "height": SIZE[0], "width": SIZE[1], "file_name": f"{i}.jpg"} for i in IMAGE_IDS]
    categories = [{"id": i, "name": name} for i, name in zip(CATEGORY_IDS, CLASSES[1:])]
    return {"images": images, "categories": categories, "annotations": annotations}, boxes, masks


def evaluate(tmp_path, data, boxes, masks, **changes):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(data))
    arguments = {
        "annotation_file": str(path),
        "image_ids": IMAGE_IDS,
        "category_ids": CATEGORY_IDS,
        "classes": CLASSES,
        "all_boxes": boxes,
        "all_masks": masks,
        "image_sizes": [SIZE] * len(IMAGE_IDS),
        "output_dir": str(tmp_path / "results"),
        **changes,
    }
    return evaluate_coco(**arguments)


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


def test_boxes_are_equal_to_plain_pycocotools(tmp_path):
    data, boxes, masks = make_case()
    result = evaluate(tmp_path, data, boxes, masks)
    records = [
        {
            "image_id": image_id,
            "category_id": CATEGORY_IDS[c - 1],
            "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
            "score": score,
        }
        for c in (1, 2, 3)
        for i, image_id in enumerate(IMAGE_IDS)
        for x1, y1, x2, y2, score in boxes[c][i].clip(0, [159, 119, 159, 119, 1]).tolist()
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
    assert len(records) == sum(len(b) for row in case[1] for b in row)
    for record in records:
        assert list(record) == ["category_id", "image_id", "score", "segmentation"]
        assert record["segmentation"]["size"] == list(SIZE)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_only_the_images_asked_for_count(tmp_path):
    data, boxes, masks = make_case()
    whole = evaluate(tmp_path, data, boxes, masks)
    first = [[row[0]] for row in boxes], [[row[0]] for row in masks]
    part = evaluate(tmp_path, data, *first, image_ids=IMAGE_IDS[:1], image_sizes=[SIZE])
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] == IMAGE_IDS[0]]
    assert part == evaluate(tmp_path, data, *first, image_ids=IMAGE_IDS[:1], image_sizes=[SIZE])
    assert part["AP"] != whole["AP"]


def test_a_test_set_is_written_and_not_scored(tmp_path):
    data, boxes, masks = make_case()
    del data["annotations"]
    assert evaluate(tmp_path, data, boxes, masks, result_name="test-dev") == {}
    assert (tmp_path / "results" / "detections_test-dev_results.json").exists()
    assert "nothing was scored" in format_table({}, CLASSES)


def test_no_detections_score_zero(tmp_path):
    data, boxes, masks = make_case()
    empty = [[np.zeros((0, 5)) for _ in row] for row in boxes], [[m[:0] for m in row] for row in masks]
    result = evaluate(tmp_path, data, *empty)
    assert result["AP"] == 0 and result["AP/skis"] == -1


def test_a_score_of_zero_comes_with_its_cause(tmp_path, caplog):
    data, boxes, masks = make_case()
    swap = [0, 2, 1, 3]
    with caplog.at_level("WARNING"):
        result = evaluate(tmp_path, data, [boxes[c] for c in swap], [masks[c] for c in swap])
    assert result["AP@0.5"] < 0.2
    far = [[b * [0, 0, 0, 0, 1] + [140, 1, 150, 6, 0] for b in row] for row in boxes]
    with caplog.at_level("WARNING"):
        evaluate(tmp_path, data, far, masks)
    assert "no box overlaps an object of its class" in caplog.text


def test_missing_keys_and_ids_from_zero_do_not_change_the_score(tmp_path):
    data, boxes, masks = make_case()
    for annotation in data["annotations"]:
        annotation["iscrowd"] = 0
    bare = copy.deepcopy(data)
    for annotation in bare["annotations"]:
        annotation["id"] -= 1  # pycocotools takes the match with id 0 for no match
        del annotation["iscrowd"]
    assert evaluate(tmp_path, bare, boxes, masks) == evaluate(tmp_path, data, boxes, masks)
    for annotation in bare["annotations"]:
        del annotation["area"]
    assert evaluate(tmp_path, bare, boxes, masks)["AP"] > 0


def test_numpy_ids_and_a_channel_are_fine(tmp_path):
    data, boxes, masks = make_case()
    with_channel = [[m[:, None] for m in row] for row in masks]
    changed = evaluate(tmp_path, data, boxes, with_channel, image_ids=np.array(IMAGE_IDS))
    assert changed == evaluate(tmp_path, data, boxes, masks)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_ids": [42, 7, 1]}, "1 of 3 image ids, e.g. 1, are not in"),
        ({"category_ids": [1, 2, 3]}, "category id 2 .'kite'. is not in"),
        ({"classes": ["__background__", "kite", "person", "skis"]}, "is 'kite' in the results but 'person'"),
        ({"image_sizes": [(120, 160), (60, 80), (120, 160)]}, r"image 7 is \(60, 80\)"),
        ({"all_boxes": [[np.zeros((0, 5))] * 3] * 81}, "81 classes, but the data set has 4"),
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
    data, boxes, masks = make_case()
    data["annotations"][2]["segmentation"] = segmentation
    with pytest.raises(EvaluationError, match=message):
        evaluate(tmp_path, data, boxes, masks)


def test_a_file_that_is_not_there_or_not_coco(tmp_path):
    data, boxes, masks = make_case()
    with pytest.raises(ValueError, match="no such annotation file"):
        evaluate(tmp_path, data, boxes, masks, annotation_file=str(tmp_path / "absent.json"))
    with pytest.raises(ValueError, match="is it a COCO file"):
        evaluate(tmp_path, {"images": 3}, boxes, masks)


def test_table_prints_absent_kinds_as_not_available(tmp_path):
    table = format_table(evaluate(tmp_path, *make_case()), CLASSES)
    large = next(line for line in table.splitlines() if line.startswith("AP large"))
    assert large.split()[-2:] == ["n/a", "n/a"] and "-1" not in table
    assert "AP/kite" in table
