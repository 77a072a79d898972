"""Palette, colour map and overlay against the original's vis.py."""

import re

import numpy as np
import pytest

from fullconv.lib.dataset.segmentation.palette import make_palette
from fullconv.lib.visualize.segmentation import colorize, overlay


@pytest.fixture(scope="module")
def recorded(reference_dir):
    with np.load(reference_dir / "fcn" / "vis.npz") as arrays:
        return dict(arrays)


def test_palettes(recorded):
    sizes = [int(key[len("palette") :]) for key in recorded if re.fullmatch(r"palette\d+", key)]
    assert sizes
    for size in sizes:
        assert np.array_equal(make_palette(size), recorded[f"palette{size}"])


def test_colours_and_overlays(recorded):
    seg, image = recorded["seg"], recorded["img"]
    palette = make_palette(256)
    assert np.array_equal(colorize(seg, palette), recorded["color"])
    weights = {key: 0.5 for key in recorded if key == "overlay"}
    weights.update({key: int(key[-2:]) / 10 for key in recorded if re.fullmatch(r"overlay_a\d\d", key)})
    assert weights
    for key, alpha in weights.items():
        assert np.array_equal(overlay(image, seg, palette, alpha), recorded[key]), key
