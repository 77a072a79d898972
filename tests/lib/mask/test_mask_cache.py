"""A mask cache is only a copy: it never changes what the annotations say, whatever happens to it."""

import dataclasses
import os
import pickle
import threading
import warnings
from pathlib import Path

import h5py
import hickle
import numpy as np
import pytest

from fullconv.lib.mask import mask_cache
from fullconv.lib.mask.mask_cache import CachedMasks, MaskCacheError, MaskStore, cache_path, read_masks, write_masks


class Source:
    """Counts how often masks are made."""

    def __init__(self, masks):
        self.masks, self.calls = masks, 0

    def load(self):
        self.calls += 1
        return self.masks.copy()


@pytest.fixture
def masks():
    return np.random.RandomState(0).rand(3, 11, 17) > 0.5


@pytest.fixture
def cached(tmp_path, masks):
    """Masks with a file but nothing in memory."""
    return CachedMasks(Source(masks), cache_path(str(tmp_path / "cache"), "content"), masks.shape, MaskStore(0))


def test_built_once_then_read(cached, masks):
    for _ in range(3):
        loaded = cached.load()
        assert loaded.dtype == bool
        np.testing.assert_array_equal(loaded, masks)
    assert cached.source.calls == 1


def test_no_objects_need_no_file(cached, tmp_path):
    none = dataclasses.replace(cached, shape=(0, 11, 17))
    assert none.load().shape == (0, 11, 17) and not (tmp_path / "cache").exists() and not cached.source.calls


def test_a_store_serves_its_own_data_set_only(cached, masks):
    one, other = (dataclasses.replace(cached, store=MaskStore()) for _ in range(2))
    one.load()
    os.unlink(cached.path)
    one.load()
    assert cached.source.calls == 1
    np.testing.assert_array_equal(other.load(), masks)
    assert cached.source.calls == 2


def test_memory_copy_is_fresh(cached, masks):
    kept = dataclasses.replace(cached, store=MaskStore())
    kept.load()[:] = False
    kept.load()[:] = False
    np.testing.assert_array_equal(kept.load(), masks)


def test_file_is_hickle(cached, masks):
    cached.load()
    np.testing.assert_array_equal(hickle.load(cached.path), masks)


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "text"])
def test_damaged_file_is_rebuilt_with_a_warning(cached, masks, damage):
    cached.load()
    data = Path(cached.path).read_bytes()
    content = {"empty": b"", "cut": data[: len(data) // 2], "noise": os.urandom(500), "text": b"hello"}[damage]
    with open(cached.path, "wb") as file:
        file.write(content)
    with pytest.warns(UserWarning, match=r"\.hkl is unusable .*rebuilding it"):
        np.testing.assert_array_equal(cached.load(), masks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(cached.load(), masks)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 11, 17), bool), np.ones((3, 11, 17), np.float32), np.ones((3, 11), bool)]
)
def test_foreign_array_is_rebuilt(cached, masks, wrong):
    os.makedirs(os.path.dirname(cached.path))
    hickle.dump(wrong, cached.path, mode="w")
    with pytest.warns(UserWarning, match="wanted bool"):
        np.testing.assert_array_equal(cached.load(), masks)


class _Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_reading_never_unpickles(cached, masks, tmp_path):
    """hickle.load unpickles the type names in a file; a file that carries a trap there is read without harm."""
    cached.load()
    trap = np.frombuffer(pickle.dumps(_Trap(str(tmp_path / "sprung"))), "S1")
    with h5py.File(cached.path, "r+") as file:
        table = file["hickle_types_table"]
        for name in list(table):
            del table[name]
            table[name] = trap
        file.attrs["trap"] = trap
    np.testing.assert_array_equal(read_masks(cached.path), masks)
    assert not (tmp_path / "sprung").exists()


def test_a_damaged_file_is_named(cached):
    cached.load()
    with open(cached.path, "wb") as file:
        file.write(b"x")
    with pytest.raises(MaskCacheError, match=r"\.hkl is unusable .*: delete it"):
        read_masks(cached.path)


def test_source_of_the_wrong_size(cached):
    with pytest.raises(MaskCacheError, match=r"give masks of shape \(3, 5, 5\)"):
        dataclasses.replace(cached, source=Source(np.ones((3, 5, 5), bool))).load()


def test_key_depends_on_content_and_version(monkeypatch):
    paths = {
        cache_path("f", "ab", "c"),
        cache_path("f", "a", "bc"),
        cache_path("f", b"abc"),
        cache_path("f", "ab", "d"),
    }
    assert len(paths) == 4
    assert cache_path("f", "ab", "c") == cache_path("f", b"ab", "c")
    before = cache_path("f", "ab")
    monkeypatch.setattr(mask_cache, "VERSION", b"other")
    assert cache_path("f", "ab") != before


def test_failed_write_leaves_nothing(tmp_path, masks, monkeypatch):
    path = str(tmp_path / "a.hkl")
    write_masks(path, masks)

    def fail(array, name, **options):
        Path(name).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(mask_cache.hickle, "dump", fail)
    with pytest.raises(OSError, match="No space"):
        write_masks(path, ~masks)
    assert os.listdir(tmp_path) == ["a.hkl"]
    np.testing.assert_array_equal(read_masks(path), masks)


def test_full_disk_is_a_warning(cached, masks, monkeypatch):
    def fail(path, masks):
        raise OSError("No space left on device")

    monkeypatch.setattr(mask_cache, "write_masks", fail)
    with pytest.warns(UserWarning, match="cannot be written .*No space left.*root_path"):
        np.testing.assert_array_equal(cached.load(), masks)


def test_store_is_bounded():
    store, masks = MaskStore(250), np.ones((1, 40, 20), bool)  # 100 bytes of bits each
    for key in "abc":
        store.put(key, masks)
    assert store.get("a") is None and store.get("b") is not None and store.get("c") is not None
    store.get("b")
    store.put("d", masks)
    assert store.get("c") is None and store.get("b") is not None
    store.put("b", masks)
    assert store.size == 200
    store.put("big", np.ones((1, 100, 100), bool))
    assert store.get("big") is None and store.size == 200


def test_many_threads(cached, masks, tmp_path):
    store = MaskStore(300)
    several = [dataclasses.replace(cached, path=cache_path(str(tmp_path), str(i)), store=store) for i in range(6)]
    wrong = []

    def work(seed):
        for i in np.random.RandomState(seed).randint(0, 6, 60):
            if not np.array_equal(several[i].load(), masks):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    assert all(name.endswith(".hkl") for name in os.listdir(tmp_path))


def _virtual(file, other):
    layout = h5py.VirtualLayout((1, 2, 3), bool)
    layout[:] = h5py.VirtualSource(str(other), "data", (1, 2, 3))
    file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize(
    "point",
    [
        lambda file, other: file.__setitem__("data", h5py.ExternalLink(str(other), "data")),
        lambda file, other: file.__setitem__("data", h5py.SoftLink("/elsewhere")),
        lambda file, other: file.create_dataset("data", (1, 2, 3), bool, external=[(str(other), 0, 6)]),
        _virtual,
    ],
)
def test_a_cache_that_points_to_another_file_is_not_followed(tmp_path, point):
    other, path = tmp_path / "other.hkl", tmp_path / "a.hkl"
    write_masks(str(other), np.ones((1, 2, 3), bool))
    with h5py.File(path, "w") as file:
        point(file, other)
    with pytest.raises(MaskCacheError, match=r"a\.hkl is unusable \(its data are (a link|in another file)\)"):
        read_masks(str(path))


def test_a_link_in_the_place_of_a_cache_is_replaced(tmp_path):
    masks, other, path = np.zeros((1, 2, 3), bool), tmp_path / "other.hkl", tmp_path / "a.hkl"
    write_masks(str(other), ~masks)
    path.symlink_to(other)
    before = other.read_bytes()
    cached = CachedMasks(Source(masks), str(path), (1, 2, 3), MaskStore())
    with pytest.warns(UserWarning, match=r"unusable \(it is a link\)"):
        assert not cached.load().any()
    assert not path.is_symlink() and other.read_bytes() == before
