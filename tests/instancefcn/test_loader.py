"""instancefcn.loader: what batches hold, mirrored, cropped, and of annotations that are not as they should be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fullconv.instancefcn import assembly
from fullconv.instancefcn.loader import NOTHING, scene
from fullconv.instancefcn.preprocess import InputSpec, check_size, resized_size
from fullconv.lib.core.sampler import BatchPlan
from fullconv.lib.dataset.image import ImageError
from fullconv.lib.structures.entry import ArrayMasks, Entry


def entry_of(folder, masks, boxes=None, size=(64, 96)):
    """A grey picture with these masks (n, h, w); boxes: inclusive, (n, 4)."""
    path = str(folder / "picture.png")
    cv2.imwrite(path, np.random.RandomState(0).randint(0, 255, (*size, 3), np.uint8))
    masks = np.asarray(masks, bool).reshape(-1, *size)
    boxes = np.tile([0, 0, 9, 9], (len(masks), 1)) if boxes is None else boxes
    return Entry(path, 1, *size, np.asarray(boxes, float).reshape(-1, 4), np.ones(len(masks)), ArrayMasks(masks))


def disc(size=(64, 96), centre=(30, 40), radius=22):
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, centre[::-1], radius, 1, -1)
    return mask.astype(bool)


def batch(config, entries, indices=(0,), places=None):
    source = assembly.train_source(config, entries)
    return source.make(BatchPlan(0, tuple(places or range(len(indices))), tuple(indices)))


def test_windows_and_masks_belong_together(slim, shapes):
    """The target of a window is what its labels say: objects in the middle of it."""
    config = slim(SCALES=[225], TRAIN__FLIP=False)
    made = batch(config, shapes.entries(), range(4))
    height, width = made["data"].shape[2:]
    assert len(made["data"]) == 4 and made["labels"].shape == (4, 1, height // 8, width // 8)
    windows = made["windows"].reshape(-1, 3).astype(int)
    real = windows[:, 0] != NOTHING
    assert real.any(), "some of four pictures have an object of this size"
    for image, row, column in windows[real]:
        assert made["labels"][image, 0, row, column] == 1
    assert (made["labels"] == 1).sum() == real.sum()
    masks = made["masks"].reshape(-1, 15, 15)
    assert (masks[~real] == NOTHING).all() and set(np.unique(masks[real])) <= {-1, 0, 1}
    # Objects reach over the middle of their windows.
    assert (masks[real][:, 4:11, 4:11] == 1).mean() > 0.5


def test_all_windows_may_have_masks(slim, shapes):
    made = batch(slim(SCALES=[225], TRAIN__MASK_WINDOWS="all", TRAIN__WINDOWS=32), shapes.entries())
    real = made["windows"][0, :, 0] != NOTHING
    assert real.sum() == 32
    labels = made["labels"][0, 0][tuple(made["windows"][0, real, 1:].astype(int).T)]
    empty = made["masks"][0][real][labels == 0]
    assert len(empty) and empty.max() == 0, "a window around no object is compared with an empty mask"


def test_crops_show_what_whole_images_do(slim, shapes):
    """Crops of one seed have the windows that whole images have, in their middle."""
    changes = {"SCALES": [225], "TRAIN__FLIP": False, "TRAIN__WINDOWS": 8}
    whole, crops = (
        batch(slim(**changes), shapes.entries(), [1]),
        batch(slim(**changes, TRAIN__INPUT="crop", TRAIN__CROP_SIDE=160), shapes.entries(), [1]),
    )
    assert crops["data"].shape == (8, 3, 160, 160) and crops["labels"].shape == (1, 8, 20, 20)
    centres = np.argwhere(whole["labels"][0, 0] != NOTHING)
    np.testing.assert_array_equal(
        crops["labels"][0, :, 10, 10], whole["labels"][0, 0][tuple(centres.T)], "one window a crop, in its middle"
    )
    assert (crops["labels"] != NOTHING).sum() == 8
    padded = np.pad(whole["data"][0], ((0, 0), (160, 160), (160, 160)))
    for crop, (row, column) in zip(crops["data"], centres):
        top, left = 8 * (row - 10) + 160, 8 * (column - 10) + 160
        np.testing.assert_array_equal(crop, padded[:, top : top + 160, left : left + 160])
    real = crops["windows"][0, :, 0] != NOTHING
    np.testing.assert_array_equal(crops["masks"][0, real], whole["masks"][0, : real.sum()])


def test_the_baseline_sees_the_object_in_the_whole_crop(slim, shapes):
    config = slim(SCALES=[225], network__HEAD="deepmask", TRAIN__INPUT="crop", TRAIN__CROP_SIDE=160, TRAIN__WINDOWS=8)
    config.network.DEEPMASK = [10, 16, 16, 40]
    made = batch(config, shapes.entries(), [1])
    assert made["labels"].shape == (1, 8, 1, 1) and made["masks"].shape == (1, 8, 40, 40) and "windows" not in made
    positive = made["labels"][0, :, 0, 0] == 1
    assert (made["masks"][0, ~positive] == NOTHING).all() and (made["masks"][0, positive] >= 0).all()


def test_mirrored_it_is_the_mirror_image(tmp_path):
    masks = [disc(), disc(centre=(50, 80), radius=10)]
    entry = entry_of(tmp_path, masks)
    seeds = iter(range(100))
    shown = {}
    while len(shown) < 2:
        rng = np.random.RandomState(next(seeds))
        flips = scene(entry, InputSpec((64,), stride=8, flip=True), rng)
        plain = np.array_equal(flips.masks[0], masks[0])
        shown[plain] = flips
    np.testing.assert_array_equal(shown[True].data[:, :64, :96], shown[False].data[:, :64, 95::-1])
    np.testing.assert_allclose(shown[False].boxes[:, 0::2], 96 - shown[True].boxes[:, 2::-2])


def test_annotations_that_are_not_as_they_should_be(slim, tmp_path):
    """A box that misses its mask is not heard, an object without a pixel is none, an image may be without objects and
    smaller than a window."""
    config = slim(SCALES=[64], TRAIN__CANONICAL=45)
    right = batch(config, [entry_of(tmp_path, [disc()])])
    assert (right["labels"] == 1).any()
    missed = batch(config, [entry_of(tmp_path, [disc()], [[90, 0, 95, 3]])])
    for key, array in right.items():
        np.testing.assert_array_equal(array, missed[key])
    with_empty = batch(config, [entry_of(tmp_path, [np.zeros((64, 96), bool), disc()])])
    np.testing.assert_array_equal(with_empty["masks"], right["masks"])
    for nothing in ([], [np.zeros((64, 96), bool)]):
        made = batch(config, [entry_of(tmp_path, nothing)])
        assert not (made["labels"] == 1).any() and (made["windows"][..., 0] == NOTHING).all()
    tiny = batch(slim(SCALES=[9], TRAIN__CANONICAL=9), [entry_of(tmp_path, [disc()])])
    assert tiny["labels"].shape == (1, 1, 2, 2) and tiny["data"].shape == (1, 3, 16, 16)


def test_sizes():
    assert resized_size((375, 500), 600, InputSpec((600,))) == (600, 800)
    assert resized_size((375, 500), 600, InputSpec((600,), longest=700)) == (525, 700)
    assert resized_size((375, 500), 0.5, InputSpec((0.5,), relative=True)) == (188, 250)
    with pytest.raises(ImageError, match="a.png: 60000x10 is too long and thin: at 900 of SCALES"):
        check_size((10, 60000), InputSpec((900,)), "a.png")
    with pytest.raises(ImageError, match="nothing is left of the short one"):
        check_size((1, 60000), InputSpec((900,), longest=1000), "a.png")
