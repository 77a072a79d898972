"""Detections survive the disk, and never come back for another network or other images."""

import numpy as np

from fullconv.lib.structures.detections import load_detections, save_detections


def results(seed=0, classes=3, images=4, size=5):
    rng = np.random.RandomState(seed)
    counts = rng.randint(0, 3, (classes, images))
    boxes = [[rng.rand(n, 5) for n in row] for row in counts]
    masks = [[rng.rand(n, size, size).astype("float32") for n in row] for row in counts]
    return boxes, masks


def test_round_trip(tmp_path):
    boxes, masks = results()
    save_detections(tmp_path / "d.npz", {"a": 1}, boxes, masks)
    for saved, loaded in zip((boxes, masks), load_detections(tmp_path / "d.npz", {"a": 1})):
        for row, again in zip(saved, loaded):
            for one, other in zip(row, again):
                np.testing.assert_array_equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]


def test_no_detections_at_all(tmp_path):
    empty = [[np.zeros((0, 5))] * 2] * 3
    save_detections(tmp_path / "d.npz", {}, empty, [[np.zeros((0, 21, 21))] * 2] * 3)
    boxes, masks = load_detections(tmp_path / "d.npz", {})
    assert (len(boxes), len(boxes[0]), boxes[2][1].shape, masks[2][1].shape) == (3, 2, (0, 5), (0, 21, 21))


def test_another_key_or_a_damaged_file_is_no_result(tmp_path):
    path = tmp_path / "d.npz"
    assert load_detections(path, {}) is None
    save_detections(path, {"params": "x"}, *results())
    assert load_detections(path, {"params": "y"}) is None
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\0" * 100):
        path.write_bytes(damaged)
        assert load_detections(path, {"params": "x"}) is None
