"""Training batches: what is in them, and that they depend on nothing but seed, epoch and place."""

import dataclasses

import numpy as np
import pytest

from fullconv.fcis import config as fcis_config
from fullconv.fcis.data import build_imdb, training_roidb
from fullconv.fcis.loader import TrainLoader, load_ground_truth, padded_count, sample_seed
from fullconv.fcis.symbols.fcis import DATA_NAMES, FCIS, LABEL_NAMES

CFG = "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shapes"))
    config = fcis_config.load(
        CFG, ["dataset.dataset_path", folder, "dataset.root_path", folder, "dataset.image_set", "train8"]
    )
    roidb = training_roidb(build_imdb(config, "train8"), config)
    return config, roidb, FCIS(config).train_symbol()


def test_batches_have_what_the_symbol_asks_for(setup):
    config, roidb, symbol = setup
    batch = next(TrainLoader(roidb, config, symbol, share=1).epoch(0))
    assert set(batch) == set(DATA_NAMES + LABEL_NAMES)
    shapes = {name: value.shape for name, value in batch.items()}
    arguments, outputs, _ = symbol.infer_shape(**shapes)
    assert None not in arguments and outputs
    assert all(value.dtype == np.float32 for value in batch.values())


def test_same_seed_same_batches_whatever_the_threads(setup):
    config, roidb, symbol = setup
    runs = []
    for workers in (0, 1, 3):
        config.default.num_workers = workers
        runs.append(list(TrainLoader(roidb, config, symbol, share=1).epoch(2)))
    for run in runs[1:]:
        for a, b in zip(runs[0], run):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_epochs_and_seeds_differ(setup):
    config, roidb, symbol = setup
    loader = TrainLoader(roidb, config, symbol, share=1)
    assert list(loader.order(0)) != list(loader.order(1))
    assert len({sample_seed(3, e, p) for e in range(20) for p in range(50)}) > 990
    assert all(0 <= sample_seed(s, 1, 1) < 2**24 for s in range(100))


@pytest.mark.parametrize("images", [1, 2])
def test_an_epoch_uses_every_image_at_most_once(setup, images):
    config, roidb, symbol = setup
    config.TRAIN.BATCH_IMAGES = images
    try:
        loader = TrainLoader(roidb, config, symbol, share=3)
        batches = list(loader.epoch(0))
    finally:
        config.TRAIN.BATCH_IMAGES = 1
    assert len(batches) == len(roidb) // (3 * images) * 3
    assert all(len(batch["data"]) == images for batch in batches)


def test_flipped_image_boxes_and_masks_mirror_together(setup):
    config, roidb, symbol = setup
    loader = TrainLoader(roidb, config, symbol, share=1)
    half = len(roidb) // 2
    for plain, mirrored in zip(roidb[:half], roidb[half:]):
        a, b = loader.sample(plain, 1), loader.sample(mirrored, 1)
        np.testing.assert_array_equal(a["data"], b["data"][:, :, ::-1])
        np.testing.assert_array_equal(a["gt_masks"], b["gt_masks"][:, :, ::-1])
        width = a["data"].shape[2]
        objects = a["gt_boxes"][:, 4] > 0
        mirrored_back = width - 1 - b["gt_boxes"][objects][:, [2, 1, 0, 3]]
        np.testing.assert_allclose(a["gt_boxes"][objects][:, [0, 2]], mirrored_back[:, [0, 2]])


def test_masks_lie_in_their_boxes(setup):
    config, roidb, _ = setup
    for entry in roidb[:4]:
        boxes, masks = load_ground_truth(entry, np.array([256, 320, 1.0], np.float32))
        for box, mask in zip(boxes, masks):
            if box[4] > 0:
                ys, xs = np.nonzero(mask > 0.5)
                assert box[0] <= xs.min() and xs.max() <= box[2] and box[1] <= ys.min() and ys.max() <= box[3]
            else:
                assert mask.max() == 0


def test_rows_are_reserved_in_powers_of_two():
    assert [padded_count(n) for n in (0, 1, 2, 3, 5, 8, 9, 93)] == [1, 1, 2, 4, 8, 8, 16, 128]


def test_too_few_images_for_an_update_are_refused(setup):
    config, roidb, symbol = setup
    with pytest.raises(ValueError, match="fewer than the 1000"):
        TrainLoader(roidb, config, symbol, share=1000)


def test_an_image_of_another_size_than_annotated_is_named(setup):
    config, roidb, symbol = setup
    wrong = dataclasses.replace(roidb[0], width=roidb[0].width + 1)
    with pytest.raises(ValueError, match=r"img/.*320x256.*321x256"):
        TrainLoader(roidb, config, symbol, share=1).sample(wrong, 0)


def test_workers_share_every_update_between_them(setup):
    config, roidb, symbol = setup
    whole = TrainLoader(roidb, config, symbol, share=4)
    parts = [TrainLoader(roidb, config, symbol, share=2, worker=(rank, 2)) for rank in range(2)]
    assert [len(part) for part in parts] == [len(whole) // 2] * 2
    first, second = (part.plan(1) for part in parts)
    assert first[:2] + second[:2] + first[2:4] + second[2:4] == whole.plan(1)[:8]
