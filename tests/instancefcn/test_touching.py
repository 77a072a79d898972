"""instancefcn.touching: objects within some pixels of another."""

from __future__ import annotations

import numpy as np

from fullconv.instancefcn.touching import touching


def test_by_distance():
    masks = np.zeros((4, 20, 40), bool)
    masks[0, 2:8, 2:8] = True
    masks[1, 2:8, 10:16] = True  # two pixels between them
    masks[2, 12:18, 30:36] = True
    masks[3, 14:16, 32:34] = True  # inside of it, as an annotation may have it
    assert touching(masks, 2).tolist() == [False, False, True, True]
    assert touching(masks, 3).tolist() == [True, True, True, True]
    assert touching(masks, 0).tolist() == [False, False, True, True]
    assert touching(masks[:1], 5).tolist() == [False] and touching(masks[:0], 5).tolist() == []
