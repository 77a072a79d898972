"""Several views of one image against the original's: the inputs, and how their boxes are put together."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest

from fullconv.fcos.postprocess import ResultSpec
from fullconv.fcos.preprocess import InputSpec
from fullconv.fcos.tester import ViewSpec, merge, views
from fullconv.lib.structures.detections import Detections

IMAGES = InputSpec((64,), 110)
MORE = ViewSpec(((64, 110, True), (48, 150, False), (48, 150, True), (96, 150, False), (96, 150, True)))


@pytest.mark.parametrize("image", [0, 1])
def test_views_and_their_boxes(fcos_reference: Callable, image: int) -> None:
    arrays = fcos_reference("f_bbox_aug")
    sample = views(np.ascontiguousarray(arrays[f"im{image}_rgb"][..., ::-1]), IMAGES, MORE)
    found = []
    for number, view in enumerate(sample.views):
        call = f"call{number}"
        height, width = view.size
        assert (height, width) == tuple(arrays[f"{call}/image_sizes_hw"][image])
        if f"{call}/tensor" in arrays:
            # There the images of a batch are padded to one size.
            expected = arrays[f"{call}/tensor"][image][:, : view.data.shape[1], : view.data.shape[2]]
            np.testing.assert_allclose(view.data, expected, rtol=0, atol=5e-5)
        found.append(Detections(*(arrays[f"{call}/im{image}_{key}"] for key in ("boxes", "scores", "labels"))))
    merged = merge(sample, found, ResultSpec(best=25))
    expected = Detections(*(arrays[f"merged/im{image}_{key}"] for key in ("boxes", "scores", "labels")))
    assert tuple(arrays[f"merged/im{image}_size_wh"]) == sample.views[0].size[::-1]
    order = [np.lexsort((d.boxes[:, 0], -d.scores)) for d in (merged, expected)]
    np.testing.assert_allclose(merged.boxes[order[0]], expected.boxes[order[1]], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(merged.scores[order[0]], expected.scores[order[1]])
