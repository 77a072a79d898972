"""Sizes, pixels, boxes and padding against the original's transforms."""

from __future__ import annotations

import re
from typing import Callable

import numpy as np
import pytest

from fullconv.fcos.preprocess import InputSpec, padded, prepare, resized_boxes, resized_size
from fullconv.lib.core.loader import pad_stack


def test_sizes(fcos_reference: Callable) -> None:
    arrays = fcos_reference("i_transforms")
    settings = [key for key in arrays if key.startswith("hw_min")]
    assert len(settings) == 8
    for key in settings:
        least, most = map(int, re.findall(r"\d+", key))
        found = [resized_size((int(h), int(w)), least, most) for w, h in arrays["wh"]]
        np.testing.assert_array_equal(found, arrays[key], err_msg=key)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("picture", range(4))
def test_pixels_and_boxes(fcos_reference: Callable, picture: int, flipped: bool) -> None:
    arrays, name = fcos_reference("i_transforms"), f"px{picture}_"
    image = arrays[f"{name}rgb"][..., ::-1]
    size = resized_size(image.shape[:2], 48, 90)
    np.testing.assert_array_equal(size[::-1], arrays[f"{name}size_wh"])
    flip = "flip_" if flipped else ""
    found = prepare(np.ascontiguousarray(image), InputSpec(divisor=0), size, flipped)
    # The original divides by 255 and multiplies again, in float32.
    np.testing.assert_allclose(found, arrays[f"{name}{flip}tensor"], rtol=0, atol=5e-5)
    boxes = resized_boxes(arrays[f"{name}boxes"], image.shape[:2], size, flipped)
    np.testing.assert_allclose(boxes, arrays[f"{name}{flip}boxes_out"], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("case", "abcde")
def test_padding(fcos_reference: Callable, case: str) -> None:
    arrays = fcos_reference("i_transforms")
    divisor = int(arrays[f"pad_{case}_div"])
    images = [np.zeros((3, *padded((int(h), int(w)), divisor))) for h, w in arrays[f"pad_{case}_in_hw"]]
    assert pad_stack(images).shape == tuple(arrays[f"pad_{case}_out"])
