"""instancefcn.sliding: windows with masks of their own, pasted, suppressed and counted, against plain loops."""

from __future__ import annotations

import numpy as np

from fullconv.instancefcn.sliding import paste, slide
from fullconv.instancefcn.symbols.spec import WindowSpec
from fullconv.lib.mask.instance_proposals import ScaleMaps, instance_proposals
from fullconv.lib.nms.nms import py_nms
from fullconv.lib.utils.sigmoid import sigmoid


def pasted_by_loops(grid, place, windows, resized, image, thresh):
    mask = np.zeros(image, bool)
    origin = [windows.stride * p + windows.stride / 2 + windows.shift - windows.size * windows.cell / 2 for p in place]
    for i, j in np.ndindex(*image):
        t = [
            ((v + 0.5) * new / old - start) / windows.cell for v, new, old, start in zip((i, j), resized, image, origin)
        ]
        if all(0 <= v < windows.size for v in t):
            low = [int(np.clip(v - 0.5, 0, windows.size - 1)) for v in t]
            part = [np.clip(v - 0.5, 0, windows.size - 1) - lo for v, lo in zip(t, low)]
            high = [min(lo + 1, windows.size - 1) for lo in low]
            top = grid[low[0], low[1]] * (1 - part[1]) + grid[low[0], high[1]] * part[1]
            bottom = grid[high[0], low[1]] * (1 - part[1]) + grid[high[0], high[1]] * part[1]
            mask[i, j] = top * (1 - part[0]) + bottom * part[0] >= thresh
    return mask


def test_a_window_is_pasted_as_by_loops():
    rng = np.random.RandomState(0)
    windows = WindowSpec(size=6, cell=4, stride=8, shift=-4)
    for place in ((0, 0), (1, 2), (3, 4)):
        grid = rng.rand(6, 6)
        segment = paste(grid, place, windows, (24, 40), (18, 33), 0.6)
        expected = pasted_by_loops(grid, place, windows, (24, 40), (18, 33), 0.6)
        found = np.zeros((18, 33), bool)
        if segment is not None:
            x1, y1, x2, y2 = segment.box
            found[y1 : y2 + 1, x1 : x2 + 1] = segment.crop
            assert segment.crop.any(axis=0)[[0, -1]].all() and segment.crop.any(axis=1)[[0, -1]].all(), "tight"
        np.testing.assert_array_equal(found, expected)
    assert paste(np.zeros((6, 6)), (0, 0), windows, (24, 40), (18, 33)) is None
    assert paste(np.ones((6, 6)), (90, 0), windows, (24, 40), (18, 33)) is None, "outside of the image"


def maps(rng, side, shapes):
    return [
        ScaleMaps(rng.randn(side * side, *shape).astype(np.float32), rng.randn(*shape).astype(np.float32), size)
        for shape, size in shapes
    ]


def test_best_first_and_suppressed_as_all_at_once():
    """Stopping early gives the first of what suppression of all windows leaves."""
    rng, windows, image = np.random.RandomState(1), WindowSpec(4, 4, 8, -4), (30, 40)
    scales = maps(rng, 4, [((3, 4), (24, 32)), ((5, 6), (40, 53))])
    all_of_them = slide(scales, image, windows, count=1000, thresh=0.4, nms=0.6)
    rows, order = [], []
    for number, scale in enumerate(scales):
        for row, column in np.ndindex(*scale.objectness.shape):
            grid = sigmoid(scale.score_maps[:, row, column].reshape(4, 4))
            segment = paste(grid, (row, column), windows, scale.size, image, 0.4)
            if segment is not None:
                rows.append([*segment.box, sigmoid(scale.objectness[row, column].astype(np.float64))])
                order.append((number, row, column))
    kept = py_nms(np.array(rows), 0.6)
    np.testing.assert_array_equal(all_of_them.windows, np.array(order)[kept])
    np.testing.assert_array_equal(all_of_them.boxes, np.array(rows)[kept][:, :4])
    few = slide(scales, image, windows, count=3, thresh=0.4, nms=0.6)
    np.testing.assert_array_equal(few.windows, all_of_them.windows[:3])
    assert len(slide(scales, image, windows, candidates=2).scores) <= 2


def test_assembled_windows_slide_to_what_the_operator_finds():
    """With k = 1 an assembled window is the map around it: both ways to proposals agree."""
    rng = np.random.RandomState(2)
    shapes = [((4, 5), (32, 40)), ((6, 8), (44, 60))]
    plain = maps(rng, 1, shapes)
    found = instance_proposals(plain, (40, 52), count=20, threshold=0.5, nms_threshold=0.7, window_size=5)
    windows = []
    for scale in plain:
        # The nearest cells stand for those off the map, as weights do on its inside.
        padded = np.pad(scale.score_maps[0], 2, mode="edge")
        grids = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
        windows.append(scale._replace(score_maps=grids.transpose(2, 3, 0, 1).reshape(25, *scale.objectness.shape)))
    slid = slide(windows, (40, 52), WindowSpec(5, 8, 8, 0), count=20, thresh=0.5, nms=0.7)
    np.testing.assert_array_equal(slid.windows, found.windows)
    np.testing.assert_array_equal(slid.boxes, found.boxes)
    for mine, its in zip(slid.crops, found.crops):
        assert (mine != its).mean() < 0.01
