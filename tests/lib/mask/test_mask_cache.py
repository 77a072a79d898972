"""A mask cache is only a copy: it never changes what the annotations say, whatever happens to it."""

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
from fullconv.lib.mask.mask_cache import MaskCacheError, MaskStore, cache_path, load_masks, read_masks, write_masks


class Source:
    """Counts how often masks are made."""

    def __init__(self, masks):
        self.masks, self.calls = masks, 0

    def __call__(self):
        self.calls += 1
        return self.masks.copy()


@pytest.fixture
def masks():
    return np.random.RandomState(0).rand(3, 11, 17) > 0.5


@pytest.fixture
def entry(tmp_path, masks):
    return {
        "boxes": np.zeros((3, 4), np.float32),
        "height": 11,
        "width": 17,
        "flipped": False,
        "masks": cache_path(str(tmp_path / "cache"), "content"),
        "mask_source": Source(masks),
    }


def _no_store():
    return MaskStore(0)


def test_built_once_then_read(entry, masks):
    for _ in range(3):
        loaded = load_masks(entry, _no_store())
        assert loaded.dtype == bool
        np.testing.assert_array_equal(loaded, masks)
    assert entry["mask_source"].calls == 1


def test_flipped_entry_is_mirrored(entry, masks):
    for store in (MaskStore(), _no_store()):
        flipped = load_masks({**entry, "flipped": True}, store)
        np.testing.assert_array_equal(flipped, masks[:, :, ::-1])
        np.testing.assert_array_equal(load_masks(entry, store), masks)
    assert flipped.flags.c_contiguous


def test_no_objects(entry):
    none = {**entry, "boxes": np.zeros((0, 4)), "masks": None}
    assert load_masks(none).shape == (0, 11, 17)


def test_memory_copy_is_fresh(entry, masks):
    store = MaskStore()
    load_masks(entry, store)[:] = False
    load_masks(entry, store)[:] = False
    np.testing.assert_array_equal(load_masks(entry, store), masks)


def test_file_is_hickle(entry, masks):
    load_masks(entry, _no_store())
    np.testing.assert_array_equal(hickle.load(entry["masks"]), masks)


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "text"])
def test_damaged_file_is_rebuilt_with_a_warning(entry, masks, damage):
    load_masks(entry, _no_store())
    data = Path(entry["masks"]).read_bytes()
    content = {"empty": b"", "cut": data[: len(data) // 2], "noise": os.urandom(500), "text": b"hello"}[damage]
    with open(entry["masks"], "wb") as file:
        file.write(content)
    with pytest.warns(UserWarning, match=r"\.hkl is unusable .*rebuilding it"):
        np.testing.assert_array_equal(load_masks(entry, _no_store()), masks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(load_masks(entry, _no_store()), masks)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 11, 17), bool), np.ones((3, 11, 17), np.float32), np.ones((3, 11), bool)]
)
def test_foreign_array_is_rebuilt(entry, masks, wrong):
    os.makedirs(os.path.dirname(entry["masks"]))
    hickle.dump(wrong, entry["masks"], mode="w")
    with pytest.warns(UserWarning, match="wanted bool"):
        np.testing.assert_array_equal(load_masks(entry, _no_store()), masks)


class _Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_reading_never_unpickles(entry, masks, tmp_path):
    """hickle.load unpickles the type names in a file; a file that carries a trap there is read without harm."""
    load_masks(entry, _no_store())
    trap = np.frombuffer(pickle.dumps(_Trap(str(tmp_path / "sprung"))), "S1")
    with h5py.File(entry["masks"], "r+") as file:
        table = file["hickle_types_table"]
        for name in list(table):
            del table[name]
            table[name] = trap
        file.attrs["trap"] = trap
    np.testing.assert_array_equal(read_masks(entry["masks"]), masks)
    assert not (tmp_path / "sprung").exists()


def test_damaged_file_without_a_source(entry):
    load_masks(entry, _no_store())
    with open(entry["masks"], "wb") as file:
        file.write(b"x")
    with pytest.raises(MaskCacheError, match=r"\.hkl is unusable .*: delete it"):
        load_masks({**entry, "mask_source": None}, _no_store())


def test_source_of_the_wrong_size(entry):
    with pytest.raises(MaskCacheError, match=r"give masks of shape \(3, 5, 5\)"):
        load_masks({**entry, "mask_source": Source(np.ones((3, 5, 5), bool))}, _no_store())


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


def test_full_disk_is_a_warning(entry, masks, monkeypatch):
    def fail(path, masks):
        raise OSError("No space left on device")

    monkeypatch.setattr(mask_cache, "write_masks", fail)
    with pytest.warns(UserWarning, match="cannot be written .*No space left.*root_path"):
        np.testing.assert_array_equal(load_masks(entry, _no_store()), masks)


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


def test_many_threads(entry, masks, tmp_path):
    entries = [{**entry, "masks": cache_path(str(tmp_path), str(i)), "flipped": i % 2 == 1} for i in range(6)]
    wrong = []

    def work(store, seed):
        for i in np.random.RandomState(seed).randint(0, 6, 60):
            loaded = load_masks(entries[i], store)
            if not np.array_equal(loaded, masks[:, :, ::-1] if i % 2 else masks):
                wrong.append(i)

    store = MaskStore(300)
    threads = [threading.Thread(target=work, args=(store, seed)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    assert all(name.endswith(".hkl") for name in os.listdir(tmp_path))
