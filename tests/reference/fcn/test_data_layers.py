"""Readers, preprocessing and sampling against the original's data layers on recorded synthetic trees."""

import json
import re

import numpy as np
import pytest

from fullconv.fcn.loader import ImageSource
from fullconv.fcn.sampling import order_of
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EndlessSampler
from fullconv.lib.dataset.registry import segmentation_set

SETS = {  # prefix of the recorded keys -> the set's name, folder and options
    "voc_val": ("voc", "seg11valid", "voc", {}),
    "sbd_train": ("sbd", "train", "sbd", {}),
    "nyud_test": ("nyud", "test", "nyud", {}),
    "siftflow_test": ("siftflow", "test", "siftflow", {}),
    "context_val": ("pascal_context", "val", "pascal", {"label_path": "context"}),
}


@pytest.fixture(scope="module")
def recorded(reference_dir):
    with np.load(reference_dir / "fcn" / "data_expected.npz") as arrays:
        return dict(arrays)


def pieces(dataset, count):
    """The set in its order for ever, in pieces of `count` batches of one image."""
    sampler = EndlessSampler(order_of("sequential", len(dataset), 0), count)
    return EpochLoader(sampler, ImageSource(dataset))


@pytest.fixture(params=SETS)
def prefix_and_set(request, reference_dir):
    root = reference_dir / "fcn" / "data"
    name, split, folder, options = SETS[request.param]
    options = {key: str(root / value) for key, value in options.items()}
    return request.param, segmentation_set(name, split, dataset_path=str(root / folder), **options)


def test_a_batch_is_what_the_original_layer_feeds(prefix_and_set, recorded):
    prefix, dataset = prefix_and_set
    keys = [key for key in recorded if key.startswith(f"{prefix}_")]
    count = 1 + max(int(key.split("_")[2]) for key in keys)
    assert count == len(dataset)
    seen = set()
    for index, batch in enumerate(pieces(dataset, count).epoch(0)):
        for name, array in batch.items():
            key = f"{prefix}_{index}_{name}"
            seen.add(key)
            expected = recorded[key]
            if name in dataset.tasks:
                assert np.array_equal(array, expected) and array.dtype == expected.dtype, key
            elif name == "depth":  # the logarithm may differ in the last bit between numpy builds
                np.testing.assert_allclose(array, expected, rtol=0, atol=1e-6, err_msg=key)
            else:
                assert np.array_equal(array, expected) and array.dtype == expected.dtype, key
    assert seen == set(keys)


def test_sequential_order_starts_again(prefix_and_set):
    _, dataset = prefix_and_set
    loader = pieces(dataset, 1)
    batches = list(loader.epoch(len(dataset)))
    first = next(loader.epoch(0))
    assert all(np.array_equal(batches[0][name], first[name]) for name in first)


def test_context_mapping(reference_dir, recorded):
    root = reference_dir / "fcn" / "data"
    dataset = segmentation_set(
        "pascal_context", "val", dataset_path=str(root / "pascal"), label_path=str(root / "context")
    )
    assert np.array_equal(dataset.mapping, recorded["context_map_459_to_60"])


def test_sampling_is_python_2s(reference_dir):
    recorded = json.loads((reference_dir / "fcn" / "sampling_py27.json").read_text())
    draws = {int(key): value for key, value in recorded.items() if key.isdigit()}
    seed = int(re.search(r"seed\((\d+)\)", recorded["note"]).group(1))
    assert draws
    for count, expected in draws.items():
        order = order_of("python2", count, seed)
        assert order(0, len(expected)) == expected
        assert order(7, 5) == expected[7:12]
