"""Batches: what is in them, and that they depend on their plan only."""

import numpy as np
import pytest

from fullconv.lib.core.bad_images import SKIP, Care
from fullconv.lib.core.loader import EpochLoader, SampleSource, collate
from fullconv.lib.core.prefetch import LoaderError
from fullconv.lib.core.sampler import EpochSampler


class Numbers(SampleSource):
    """Sample i is an image of i + 1 rows; the random draw and the batch's size go into it too."""

    fills = {"data": -1.0}

    def sample(self, index, seed):
        if index == 5:
            raise ValueError("broken")
        draw = np.random.RandomState(seed).rand(1)
        return {"data": np.full((1, index + 1, 2), index, np.float32), "draw": draw}

    def targets(self, size, sample):
        return {"size": np.array(size)}

    def names(self, plan):
        return [f"{index}.jpg" for index in plan.indices]


def batches(count=5, workers=0, seed=0, batch=2):
    loader = EpochLoader(EpochSampler(count, batch), Numbers(seed), workers)
    return loader, list(loader.epoch(0))


def test_samples_are_stacked_padded_and_given_what_depends_on_the_batch():
    loader, found = batches()
    assert len(loader) == len(found) == 2
    assert found[1]["data"].shape == (2, 1, 4, 2) and (found[1]["data"][0, 0, 3] == -1).all()
    assert found[1]["size"].tolist() == [[4, 2], [4, 2]]
    assert loader.items(0, 1) == ["2.jpg", "3.jpg"]


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(workers):
    for alone, threaded in zip(batches()[1], batches(workers=workers)[1]):
        for name in alone:
            np.testing.assert_array_equal(alone[name], threaded[name])


def test_the_seed_decides_what_is_random():
    assert not np.array_equal(batches()[1][0]["draw"], batches(seed=1)[1][0]["draw"])
    assert len({float(d) for batch in batches()[1] for d in batch["draw"]}) == 4


def test_a_batch_that_cannot_be_made_names_its_images():
    with pytest.raises(LoaderError, match="4.jpg, 5.jpg: ValueError: broken"):
        batches(count=6)


def test_collate_pads_to_the_largest_with_the_given_fill():
    samples = [{"a": np.ones((1, 2)), "b": np.zeros(1)}, {"a": np.ones((2, 1)), "b": np.zeros(2)}]
    batch = collate(samples, {"b": -1.0})
    assert batch["a"].tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]
    assert batch["b"].tolist() == [[0, -1], [0, 0]]


def skipping(count, limit):
    """Index 5 of the source's images is broken."""
    loader = EpochLoader(EpochSampler(count, 2), Numbers(0), 2)
    loader.care = Care(policy=SKIP, limit=limit)
    return loader


def test_bad_images_are_left_out_said_and_counted(caplog):
    loader = skipping(8, 0.25)
    first, again = list(loader.epoch(0)), list(loader.epoch(0))
    assert len(first) == len(loader) == 4, "the number of updates stays"
    np.testing.assert_array_equal(first[2]["size"], first[3]["size"])
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one["data"], other["data"])
    assert loader.left_out.names == {"4.jpg", "5.jpg"}
    assert caplog.text.count("left out, 2 so far") == 1 and "4.jpg, 5.jpg: ValueError: broken" in caplog.text


def test_too_many_bad_images_end_the_run():
    with pytest.raises(LoaderError, match="2 of 8 images could not be read, more than default.bad_images_limit 0.001"):
        list(skipping(8, 0.001).epoch(0))
