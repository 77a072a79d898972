"""Detections: what fits together, what is chosen from them, and that they survive the disk for their own key only."""

import numpy as np
import pytest

from fullconv.lib.structures.detections import Detections, load_detections, save_detections


def some(count=4, seed=0, size=5, dtype="float32", masks=True):
    rng = np.random.RandomState(seed)
    boxes, scores = rng.rand(count, 4).astype(dtype), rng.rand(count).round(1).astype(dtype)
    found = rng.rand(count, size, size).astype("float32") if masks else None
    return Detections(boxes, scores, rng.randint(1, 4, count), found)


def same(one, other):
    for name in ("boxes", "scores", "labels", "masks"):
        a, b = getattr(one, name), getattr(other, name)
        if a is None or b is None:
            assert a is b
        else:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


# --------------------------------------------------------------------------------------------------- one image


def test_types():
    found = Detections([[1, 2, 3, 4]], [1], [2.0], np.ones((1, 3, 3), np.float64))
    assert found.boxes.dtype == found.scores.dtype == np.float64
    assert found.labels.dtype == np.int64 and found.masks.dtype == np.float32
    assert len(found) == 1 and some(dtype="float32").boxes.dtype == np.float32


@pytest.mark.parametrize(
    "arrays, message",
    [
        ((np.zeros((2, 5)), np.zeros(2), np.ones(2)), r"boxes \(2, 5\), scores \(2,\) and labels \(2,\): need"),
        ((np.zeros((2, 4)), np.zeros(3), np.ones(2)), r"scores \(3,\)"),
        ((np.zeros((2, 4)), np.zeros((2, 1)), np.ones(2)), r"scores \(2, 1\)"),
        ((np.zeros((2, 4)), np.zeros(2), np.ones(1)), r"labels \(1,\)"),
        ((np.zeros((2, 4)), np.zeros(2), [1, 0]), "label 0: classes count from 1"),
        ((np.zeros((2, 4)), np.zeros(2), [1, 1.5]), "no whole numbers"),
        ((np.zeros((2, 4)), np.zeros(2), [1, 1], np.zeros((1, 3, 3))), r"2 boxes and masks \(1, 3, 3\): need \(2, M"),
        ((np.zeros((2, 4)), np.zeros(2), [1, 1], np.zeros((2, 3, 4))), r"masks \(2, 3, 4\)"),
        ((np.zeros((2, 4)), np.zeros(2), [1, 1], np.zeros((2, 1, 3, 3))), r"masks \(2, 1, 3, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        Detections(*arrays)


def test_choosing_rows():
    found = some()
    same(found.select(np.array([2, 0])), Detections(*(a[[2, 0]] for a in vars(found).values())))
    same(found.select(found.labels == 1), found.of_class(1))
    same(found.select([]), found.select(np.zeros(4, bool)))
    assert len(found.select([])) == 0 and found.select([]).masks.shape == (0, 5, 5)
    assert (found.above(0.6).scores >= 0.6).all() and len(found.above(found.scores[1])) >= 1
    assert some(masks=False).of_class(2).masks is None


def test_equal_scores_keep_their_order():
    found = Detections(np.arange(80.0).reshape(20, 4), np.tile([0.5, 0.9], 10), np.ones(20, int))
    first = found.best_first()
    np.testing.assert_array_equal(first.boxes[:, 0], [*range(4, 80, 8), *range(0, 80, 8)])
    assert (np.diff(first.scores) <= 0).all()


def test_scores_that_are_none_are_not_above_anything():
    assert len(Detections(np.zeros((1, 4)), [np.nan], [1]).above(0.0)) == 0


def test_nothing():
    assert len(Detections.empty()) == 0 and Detections.empty().masks is None
    assert Detections.empty(21).masks.shape == (0, 21, 21)
    assert len(Detections.concatenate([])) == 0
    assert len(Detections.empty(3).best_first().above(0.5).of_class(1)) == 0


def test_joining():
    one, other = some(), some(3, seed=1)
    joined = Detections.concatenate([one, other])
    same(joined.select(np.arange(4)), one)
    same(joined.select(np.arange(4, 7)), other)
    for wrong in (some(2, masks=False), some(2, size=7), Detections.empty()):
        with pytest.raises(ValueError, match="2 parts do not join: .* all must come from one network"):
            Detections.concatenate([one, wrong])


# ------------------------------------------------------------------------------------------------------ on disk


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(tmp_path, dtype, masks):
    saved = [some(count, seed, 5, dtype, masks) for seed, count in enumerate([3, 0, 2, 0])]
    save_detections(tmp_path / "d.npz", {"a": 1}, saved)
    loaded = load_detections(tmp_path / "d.npz", {"a": 1})
    assert len(loaded) == 4
    for one, other in zip(saved, loaded):
        same(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]


def test_no_detections_at_all(tmp_path):
    save_detections(tmp_path / "d.npz", {}, [Detections.empty(21)] * 2)
    loaded = load_detections(tmp_path / "d.npz", {})
    assert [found.masks.shape for found in loaded] == [(0, 21, 21)] * 2
    save_detections(tmp_path / "d.npz", {}, [])
    assert load_detections(tmp_path / "d.npz", {}) == []


def test_another_key_or_a_damaged_file_is_no_result(tmp_path):
    path = tmp_path / "d.npz"
    assert load_detections(path, {}) is None
    save_detections(path, {"params": "x"}, [some()])
    assert load_detections(path, {"params": "y"}) is None
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\0" * 100, content.replace(b"scores", b"stores")):
        path.write_bytes(damaged)
        assert load_detections(path, {"params": "x"}) is None


def test_counts_that_do_not_fit_and_earlier_forms_are_no_result(tmp_path):
    path, found = tmp_path / "d.npz", some()
    arrays = {"key": np.array("{}"), "boxes": found.boxes, "scores": found.scores, "labels": found.labels}
    for counts in ([3], [5, -1], [[4]], [2, 2]):
        np.savez(path, counts=np.array(counts), **arrays)
        assert (load_detections(path, {}) is None) == (counts != [2, 2])
    np.savez(path, key=np.array("{}"), counts=np.ones((3, 4), int), boxes=np.zeros((12, 5)), masks=np.zeros((12, 3, 3)))
    assert load_detections(path, {}) is None


def test_a_file_with_objects_in_it_is_never_unpickled(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, key=np.array("{}"), boxes=np.array([{}], dtype=object), counts=np.zeros(0, int))
    assert load_detections(path, {}) is None


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "d.npz"
    save_detections(path, {}, [some()])
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="No space"):
        save_detections(path, {}, [some(2)])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
