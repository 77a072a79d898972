"""Order, prefetching and padding of batches."""

import threading
import time

import numpy as np
import pytest

from fullconv.lib.core.loader import LoaderError, aspect_grouped_order, batches_of, collate, prefetch


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prefetch_keeps_the_order(workers):
    def slow(item):
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(prefetch(range(20), slow, workers)) == [i * i for i in range(20)]


def test_prefetch_names_the_item_that_failed():
    def make(item):
        if item == 3:
            raise ValueError("bad pixel")
        return item

    results = prefetch(range(6), make, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LoaderError, match="3.*ValueError: bad pixel"):
        next(results)


def test_prefetch_stops_its_threads_when_the_consumer_stops():
    before = threading.active_count()
    results = prefetch(range(1000), lambda item: item, 2)
    next(results)
    results.close()
    assert threading.active_count() <= before


@pytest.mark.parametrize("count, batch", [(22, 4), (20, 4), (9, 1), (3, 4)])
def test_grouped_order_is_a_permutation_of_uniform_batches(count, batch):
    rng = np.random.RandomState(count)
    widths, heights = rng.randint(1, 9, count), rng.randint(1, 9, count)
    order = aspect_grouped_order(widths, heights, batch, rng)
    assert sorted(order) == list(range(count))
    wide = (widths >= heights)[order]
    mixed = [len(set(wide[list(b)])) == 2 for b in batches_of(np.arange(count), batch)]
    assert sum(mixed) <= 1, "only the batch at the boundary of wide and tall may mix them"


def test_grouped_order_mixes_whole_batches_where_the_original_did_not():
    widths, heights = np.r_[np.full(40, 2), np.full(40, 1)], np.r_[np.full(40, 1), np.full(40, 2)]
    fixed = aspect_grouped_order(widths, heights, 4, np.random.RandomState(0))
    quirk = aspect_grouped_order(widths, heights, 4, np.random.RandomState(0), original_quirk=True)
    assert set(quirk[:40]) == set(range(40)), "the original trains all wide images first"
    assert set(fixed[:40]) != set(range(40))


def test_collate_pads_to_the_largest_with_the_given_fill():
    samples = [{"a": np.ones((1, 2)), "b": np.zeros(1)}, {"a": np.ones((2, 1)), "b": np.zeros(2)}]
    batch = collate(samples, {"b": -1.0})
    assert batch["a"].tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]
    assert batch["b"].tolist() == [[0, -1], [0, 0]]
