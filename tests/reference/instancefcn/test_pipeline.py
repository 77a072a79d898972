"""Proposals of one image at two sizes against the recorded ones."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest

from benchmarks.plain_proposals import plain_proposals
from fullconv.lib.mask.instance_proposals import ScaleMaps, instance_proposals


@pytest.mark.parametrize("pipeline", [instance_proposals, plain_proposals])
def test_kept_windows_and_masks(pipeline: Callable, instancefcn_reference: Callable) -> None:
    reference = instancefcn_reference("pipeline")
    sizes = [tuple(size) for size in reference["dims"].tolist()]
    scales = [ScaleMaps(reference[f"maps{i}"], reference[f"obj{i}"], size) for i, size in enumerate(sizes)]
    keep, top = reference["keep"], reference["top"]
    image = tuple(reference["hw"].tolist())
    thresholds = float(reference["thr"]), float(reference["nms_thr"])
    found = pipeline(scales, image, len(reference["windows"]), *thresholds, int(reference["m"]))
    np.testing.assert_array_equal(found.windows, reference["windows"][keep])
    np.testing.assert_array_equal(found.boxes, reference["boxes"][keep])
    np.testing.assert_allclose(found.scores, reference["score"][keep], atol=1e-12)
    np.testing.assert_array_equal(found.windows[: len(top)], reference["windows"][top])
    np.testing.assert_allclose(found.grids[: len(top)], reference["top_prob"], atol=1e-6)
    masks = np.unpackbits(reference["top_masks"], axis=-1)[..., : image[1]].astype(bool)
    for i, (mask, margin) in enumerate(zip(masks, reference["top_margin"])):
        ours = found.mask(i) if hasattr(found, "mask") else found.masks[i]
        # A pixel may differ only where one lies within rounding of the threshold.
        assert (ours != mask).sum() <= (margin < 1e-6)
