"""Batches: mirroring, sizes, empty images, one orientation a batch, and divisors of whole updates."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from fullconv.fcos.loader import TrainSource
from fullconv.fcos.preprocess import Drawn, InputSpec, draw, prepare, resized_boxes, resized_size
from fullconv.fcos.symbols.spec import LossSpec
from fullconv.fcos.targets import ground_truth, positives
from fullconv.lib.core.endless_order import endless_order, filled, orientation
from fullconv.lib.core.sampler import EndlessSampler, Share
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.dataset.image import ImageError
from fullconv.lib.structures.entry import Entry

SPEC = InputSpec((64, 80, 96), 160, flip=0.5)
LOSS = LossSpec(radius=1.5, sizes=(16.0, 32.0, 64.0, 128.0))


def source(entries, update=4, spec=SPEC, seed=7, batch=2):
    return TrainSource(entries, spec, LOSS, endless_order(entries, batch, seed), update, seed)


def test_a_batch(shapes):
    entries = shapes.entries()
    loader = source(entries)
    sampler = EndlessSampler(endless_order(entries, 2, 7), 6, 2, Share(2))
    for plan in sampler.plan(0)[:3]:
        batch = loader.make(plan)
        assert set(batch) == set(loader.largest_shapes(2)) and len(loader.names(plan)) == 2
        height, width = batch["data"].shape[2:]
        assert height % 32 == 0 and width % 32 == 0 and batch["data"].dtype == np.float32
        rows = batch["gt_boxes"][batch["gt_boxes"][..., 4] > 0]
        assert len(rows) and (rows[:, :2] >= -1e-3).all() and (rows[:, 2] < width).all() and (rows[:, 3] < height).all()


def test_the_same_seed_draws_the_same_and_all_is_drawn():
    drawn = [draw(SPEC, seed) for seed in range(200)]
    assert drawn == [draw(SPEC, seed) for seed in range(200)]
    assert {d.min_size for d in drawn} == {64, 80, 96} and {d.flipped for d in drawn} == {True, False}
    assert not any(draw(SPEC._replace(flip=0.0), seed).flipped for seed in range(20))


def test_boxes_follow_the_mirrored_pixels():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 5:15] = 255
    entry = Entry("", 0, 40, 60, np.array([[5, 10, 14, 19]]), np.array([1]))
    size = resized_size(entry.size, 80, 160)
    data = prepare(image, SPEC._replace(means=(0, 0, 0)), size, True)
    box = ground_truth(entry, size, Drawn(80, True))[0, :4]
    ys, xs = np.nonzero(data[0] > 128)
    np.testing.assert_allclose(box, [xs.min(), ys.min(), xs.max(), ys.max()], atol=1.5)
    np.testing.assert_array_equal(box, resized_boxes(entry.boxes, entry.size, size, True)[0])


def test_red_green_blue_between_0_and_1():
    image = np.full((32, 32, 3), (255, 51, 0), np.uint8)  # blue, green, red
    spec = InputSpec((32,), 64, (0.5, 0.0, 0.0), (0.5, 1.0, 2.0), bgr255=False)
    np.testing.assert_allclose(prepare(image, spec, (32, 32))[:, 0, 0], [-1, 0.2, 0.5], rtol=1e-6)


def test_an_image_without_objects_is_background(shapes):
    empty = dataclasses.replace(shapes.entries()[0], boxes=np.zeros((0, 4)), classes=np.zeros(0))
    loader = source([empty, empty], update=2, batch=2)
    (plan,) = EndlessSampler(endless_order([empty, empty], 2, 7), 1, 2).plan(0)
    batch = loader.make(plan)
    assert (batch["gt_boxes"] == -1).all() and batch["normalizers"].tolist() == [1, 1]


def test_every_batch_of_an_update_has_the_divisors_of_all_of_it(shapes):
    entries = shapes.entries()
    loader, order = source(entries, update=4), endless_order(entries, 2, 7)
    plans = EndlessSampler(order, 4, 2, Share(2)).plan(1)
    batches = [loader.make(plan) for plan in plans]
    for first, second in (batches[:2], batches[2:]):
        boxes = [image for batch in (first, second) for image in batch["gt_boxes"]]
        counts = np.sum(
            [positives(image, batch.shape[2:], LOSS) for image, batch in zip(boxes, [first["data"]] * 4)], 0
        )
        np.testing.assert_allclose(first["normalizers"], counts, rtol=1e-6)
        np.testing.assert_array_equal(first["normalizers"], second["normalizers"])
    assert not np.array_equal(batches[0]["normalizers"], batches[2]["normalizers"])


def test_positives_do_not_depend_on_padding(shapes):
    entry = shapes.entries()[0]
    boxes, size = ground_truth(entry, (96, 120), Drawn(96, False)), (96, 120)
    assert positives(boxes, size, LOSS) == positives(boxes, (128, 160), LOSS) == positives(boxes, (512, 512), LOSS)


def test_batches_have_one_orientation_and_passes_have_all_images():
    entries = [Entry("", k, 40, 60 if k < 5 else 30, np.zeros((0, 4)), np.zeros(0)) for k in range(8)]
    order = endless_order(entries, 2, seed=1)
    first, second = order(0, 10), order(10, 10)
    assert set(first) == set(second) == set(range(8)) and first != second
    for start in range(0, 10, 2):
        assert len({orientation(entries[index]) for index in first[start : start + 2]}) == 1
    assert order(3, 14) == (first + second)[3:17]
    assert len(endless_order(entries, 2, 1, aspect_grouping=False)(0, 8)) == 8


def test_short_batches_are_filled_from_their_group():
    assert filled([[4, 2], [1], [3]], {1: 0, 2: 0, 3: 1, 4: 0}, 2) == [4, 2, 1, 4, 3, 3]


def test_an_image_of_which_nothing_is_left_is_refused():
    entry = Entry("thin.png", 0, 2, 5000, np.zeros((1, 4)), np.ones(1))
    with pytest.raises(ImageError, match="thin.png: 5000x2 is too long and thin"):
        source([entry])


def test_a_file_of_another_size_than_annotated_is_refused(tmp_path):
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, np.zeros((256, 320, 3), np.uint8))
    with pytest.raises(ValueError, match="a.png: the file is 320x256 but the annotation says 10x10"):
        read_entry_image(Entry(path, 0, 10, 10, np.zeros((0, 4)), np.zeros(0)))
