"""Training batches: what is in them, and that they depend on nothing but seed, epoch and place."""

import dataclasses

import numpy as np
import pytest

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.data import training_entries, training_set
from fullconv.fcis.loader import TrainSource, order_of
from fullconv.fcis.symbols.fcis import DATA_NAMES, FCIS, LABEL_NAMES
from fullconv.fcis.targets import ground_truth, padded_count
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EpochSampler

CFG = "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shapes"))
    config = fcis_config.load(
        CFG, ["dataset.dataset_path", folder, "dataset.root_path", folder, "dataset.image_set", "train8"]
    )
    data = training_set(config.dataset)
    entries = training_entries(data, flip=True)
    network = assembly.network_spec(config, data.num_classes)
    symbol = FCIS(network).train_symbol(assembly.train_spec(config))
    source = assembly.train_source(config, entries, symbol)
    return source, entries, symbol


def loader(source, workers=2, batch=1):
    order = order_of(source.entries, True, True, batch)
    return EpochLoader(EpochSampler(len(source.entries), batch, order, source.seed), source, workers)


def test_batches_have_what_the_symbol_asks_for(setup):
    source, _, symbol = setup
    batch = next(loader(source).epoch(0))
    assert set(batch) == set(DATA_NAMES + LABEL_NAMES)
    shapes = {name: value.shape for name, value in batch.items()}
    arguments, outputs, _ = symbol.infer_shape(**shapes)
    assert None not in arguments and outputs
    assert all(value.dtype == np.float32 for value in batch.values())


def test_no_batch_is_larger_than_what_is_bound_first(setup):
    source, _, _ = setup
    largest = source.largest_shapes(2)
    for batch in loader(source, batch=2).epoch(0):
        for name, value in batch.items():
            assert all(have <= room for have, room in zip(value.shape, largest[name])), name


def test_same_seed_same_batches_whatever_the_threads(setup):
    runs = [list(loader(setup[0], workers).epoch(2)) for workers in (0, 1, 3)]
    for run in runs[1:]:
        for a, b in zip(runs[0], run):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("shuffle, grouped", [(True, True), (True, False), (False, True)])
def test_orders_hold_every_image_once(setup, shuffle, grouped):
    _, entries, _ = setup
    order = order_of(entries, shuffle, grouped, 4)
    drawn = list(order(np.random.RandomState(0)))
    assert sorted(drawn) == list(range(len(entries))) and (drawn != sorted(drawn)) == shuffle
    assert not shuffle or drawn != list(order(np.random.RandomState(1)))


def test_flipped_image_boxes_and_masks_mirror_together(setup):
    source, entries, _ = setup
    half = len(entries) // 2
    for place in range(half):
        a, b = source.sample(place, 1), source.sample(half + place, 1)
        np.testing.assert_array_equal(a["data"], b["data"][:, :, ::-1])
        np.testing.assert_array_equal(a["gt_masks"], b["gt_masks"][:, :, ::-1])
        width = a["data"].shape[2]
        objects = a["gt_boxes"][:, 4] > 0
        mirrored_back = width - 1 - b["gt_boxes"][objects][:, [2, 1, 0, 3]]
        np.testing.assert_allclose(a["gt_boxes"][objects][:, [0, 2]], mirrored_back[:, [0, 2]])


def test_masks_lie_in_their_boxes(setup):
    for entry in setup[1][:4]:
        boxes, masks = ground_truth(entry, np.array([256, 320, 1.0], np.float32))
        for box, mask in zip(boxes, masks):
            if box[4] > 0:
                ys, xs = np.nonzero(mask > 0.5)
                assert box[0] <= xs.min() and xs.max() <= box[2] and box[1] <= ys.min() and ys.max() <= box[3]
            else:
                assert mask.max() == 0


def test_rows_are_reserved_in_powers_of_two():
    assert [padded_count(n) for n in (0, 1, 2, 3, 5, 8, 9, 93)] == [1, 1, 2, 4, 8, 8, 16, 128]


def test_an_image_of_another_size_than_annotated_is_named(setup):
    source, entries, _ = setup
    wrong = dataclasses.replace(entries[0], width=entries[0].width + 1)
    with pytest.raises(ValueError, match=r"img/.*320x256.*321x256"):
        TrainSource([wrong], source.spec, source.anchors, source.feature_shape).sample(0, 0)
