"""Work done ahead: its order, its errors, its end."""

import threading
import time

import pytest

from fullconv.lib.core.prefetch import LoaderError, prefetch


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
