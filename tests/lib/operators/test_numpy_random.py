"""The C++ copy of numpy's legacy random stream, and the sorts with a fixed order among ties."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.operator_cxx import c_library


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def choices(seed, sizes, draws, replace):
    sizes, draws = np.array(sizes, np.int32), np.array(draws, np.int32)
    scratch, out = np.zeros(max(sizes), np.int32), np.zeros(draws.sum(), np.int32)
    arrays = (pointer(sizes), pointer(draws), len(sizes), int(replace), pointer(scratch), pointer(out))
    c_library().fullconv_random_choice(ctypes.c_uint32(seed), *arrays)
    return out


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 3000), min_size=1, max_size=6), st.booleans(), st.data())
def test_choice_is_numpys(seed, sizes, replace, data):
    draws = [data.draw(st.integers(0, 2000 if replace else size)) for size in sizes]
    random = np.random.RandomState(seed)
    expected = [random.choice(size, size=count, replace=replace) for size, count in zip(sizes, draws)]
    np.testing.assert_array_equal(choices(seed, sizes, draws, replace), np.concatenate(expected))


@pytest.mark.parametrize("size", [1, 2, 2**16, 2**16 + 1])
def test_long_streams(size):
    expected = np.random.RandomState(7).choice(size, size=5000)
    np.testing.assert_array_equal(choices(7, [size], [5000], True), expected)


VALUES = st.floats(width=32, allow_nan=True) | st.sampled_from([0.0, -0.0, 0.5, -1.0])


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=70), st.booleans(), st.data())
def test_sort_is_the_reversed_stable_argsort(values, bitonic, data):
    scores = np.array(values, np.float32)
    top = data.draw(st.integers(1, len(scores)))
    keys, order = np.zeros(128, np.uint64), np.zeros(top, np.int32)
    arguments = (len(scores), top, int(bitonic), pointer(keys), pointer(order))
    assert c_library().fullconv_sort_scores(pointer(scores), *arguments) == 0
    np.testing.assert_array_equal(order, scores.argsort(kind="stable")[::-1][:top])
