"""Plain data and numpy arrays from pickles of every protocol, as Python itself writes them."""

from __future__ import annotations

import collections
import pickle

import numpy as np
import pytest

from fullconv.lib.convert import unpickler
from fullconv.lib.convert.pickle_limits import PickleError
from fullconv.lib.convert.pickled_arrays import NUMPY, PLAIN

ALLOWED = {**PLAIN, **NUMPY}
PLAIN_VALUES = [
    None,
    True,
    False,
    [0, 1, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**63, -(2**100)],
    [0.0, -1.5, 1e300, float("inf")],
    ["", "a", "umlaut \u00e4", "snow \u2603", "\U0001f600", "line\nfeed", "quote'\"\\", "x" * 70_000],
    {"model": {"a": [1, (2,), (3, 4), (5, 6, 7), (8, 9, 10, 11)]}, 7: None, b"key": 1, -3: ()},
    {"list": list(range(3000)), "dict": {str(n): n for n in range(3000)}},
]


def read(data):
    value, end = unpickler.load(data, ALLOWED)
    assert end == len(data)
    return value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", PLAIN_VALUES, ids=range(len(PLAIN_VALUES)))
def test_plain_data_of_every_protocol(value, protocol):
    if protocol < 3 and isinstance(value, dict) and b"key" in value:
        value = {key: item for key, item in value.items() if key != b"key"}  # bytes become a call there, see below
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_bytes_of_every_protocol(protocol):
    value = [b"a\x00\xff", bytes(range(256)) * 300]
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("code", ["<f4", ">f4", "f2", "f8", "i8", "i4", "u1", "?"])
def test_arrays_of_every_protocol(code, protocol):
    array = (np.arange(24) % 3).astype(code).reshape(2, 3, 4)
    for made in (array, np.asfortranarray(array), array[:, ::2], array[0, 0, 0:0], np.array(1).astype(code)):
        got = read(pickle.dumps({"a": made}, protocol))["a"]
        np.testing.assert_array_equal(got, made)
        assert got.dtype == made.dtype.newbyteorder("=") and got.shape == made.shape


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_scalars_and_ordered_dicts(protocol):
    value = collections.OrderedDict([("b", np.float32(1.5)), ("a", np.int64(7)), ("c", np.bool_(True))])
    got = read(pickle.dumps(value, protocol))
    assert got == {"b": 1.5, "a": 7, "c": True} and list(got) == ["b", "a", "c"]
    assert type(got["b"]) is float and read(pickle.dumps(collections.Counter("aab"), protocol)) == {"a": 2, "b": 1}


def test_attributes_of_an_ordered_dict_are_left_out():
    """A state_dict carries `_metadata` that way."""
    value = collections.OrderedDict(a=1)
    value._metadata = {"version": 1}
    assert read(pickle.dumps(value, 2)) == {"a": 1}


def test_python_2_files():
    """Byte strings are text, an ordered dict comes from a list, an array has its bytes in a string."""
    assert read(b"(dp0\nS'conv1_w'\np1\nI5\ns.") == {"conv1_w": 5}
    assert read(b"S'a\\x00\\'\\n\\\\u'\n.") == "a\x00'\n\\u"
    assert read(b"U\x03a\xe4\x00.") == "a\u00e4\x00"
    assert read(b"ccollections\nOrderedDict\n(((lp0\n(lp1\nS'a'\naI1\naatR.".replace(b"(((", b"((")) == {"a": 1}
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = head + b"(K\x01K\x02\x85" + dtype + b"\x89U\x08" + np.array([1.5, -2], "<f4").tobytes() + b"tb."
    np.testing.assert_array_equal(read(data), np.array([1.5, -2], "f4"))


def test_an_object_mentioned_twice_is_one():
    array = np.arange(5)
    got = read(pickle.dumps([array, array], 2))
    assert got[0] is got[1]


def test_several_pickles_follow_each_other():
    data = pickle.dumps(1, 2) + pickle.dumps("two", 4)
    first, place = unpickler.load(data, {})
    assert (first, unpickler.load(data, {}, start=place)) == (1, ("two", len(data)))


@pytest.mark.parametrize(
    "value", [{1.5: 1}, {(1, 2): 1}, {2**60: 1}, {1, 2}, frozenset([1]), 1j, range(3), int, 2**200]
)
def test_other_types_are_refused(value):
    with pytest.raises(PickleError, match="asks for|as a key|an integer of"):
        read(pickle.dumps(value, 4))


@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.array([None]), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")]), np.zeros(2, "c8")]
)
def test_other_arrays_are_refused(array):
    with pytest.raises(PickleError, match="only numbers are read|no number|arrays of"):
        read(pickle.dumps(array, 2))


def test_truncated_anywhere():
    value = {"a": [np.arange(9), "text", b"bytes", 2**40, 1.5], "b": collections.OrderedDict(c=(1, 2, 3, 4))}
    for protocol in range(6):
        data = pickle.dumps(value, protocol)
        for end in range(len(data)):
            with pytest.raises(PickleError):
                read(data[:end])
