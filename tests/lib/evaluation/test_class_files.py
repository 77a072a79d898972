"""Detections class by class on disk: what is read back, where a class has none, and damage."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.evaluation.class_files import read_class_file, write_class_files
from fullconv.lib.structures.detections import Detections

CLASSES = ["__background__", "cat", "n/a", "dog"]


def found(labels, masks=True):
    rng, count = np.random.RandomState(len(labels)), len(labels)
    boxes = np.cumsum(rng.uniform(1, 9, (count, 4)), axis=1)
    drawn = rng.rand(count, 5, 5).astype(np.float32) if masks else None
    return Detections(boxes, rng.rand(count), np.array(labels, int), drawn)


def test_every_class_and_image(tmp_path):
    detections = [found([1, 3, 1]), found([]), found([3])]
    detections[1] = Detections.empty(5)
    write_class_files(tmp_path / "results", CLASSES, ["a", 7, "c"], detections)
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {f"{c}_{kind}.npz" for c in ("cat", "n_a", "dog") for kind in ("det", "seg")}
    for label, name in enumerate(CLASSES[1:], start=1):
        ids, boxes, masks = read_class_file(tmp_path / "results", name)
        assert ids == ["a", "7", "c"] and len(boxes) == len(masks) == 3
        for kept, rows, shapes in zip(detections, boxes, masks):
            mine = kept.of_class(label).best_first()
            np.testing.assert_allclose(rows[:, :4], mine.boxes, rtol=1e-6)
            np.testing.assert_allclose(rows[:, 4], mine.scores, rtol=1e-6)
            np.testing.assert_array_equal(shapes, mine.masks)


def test_boxes_alone_have_no_mask_file(tmp_path):
    write_class_files(tmp_path, CLASSES, ["a"], [found([1], masks=False)])
    assert read_class_file(tmp_path, "cat").masks is None and not list(tmp_path.glob("*_seg.npz"))


def test_counts_that_do_not_fit_are_damage(tmp_path):
    np.savez(tmp_path / "cat_det.npz", image_ids=["a"], counts=[2], boxes=np.zeros((1, 5)))
    with pytest.raises(ValueError, match="cat_det.npz: 1 rows, but the counts of the images say 2"):
        read_class_file(tmp_path, "cat")
    with pytest.raises(FileNotFoundError, match="dog_det.npz"):
        read_class_file(tmp_path, "dog")
