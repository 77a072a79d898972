"""Palette PNGs, overlays, legends and confusion pictures."""

import numpy as np
import pytest
from PIL import Image

from fullconv.lib.visualize.confusion import confusion_picture
from fullconv.lib.visualize.segmentation import colorize, legend, make_palette, overlay, write_palette_png


def test_palette_begins_like_vocs():
    expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert make_palette(5).tolist() == expected
    assert len({tuple(c) for c in make_palette(256).tolist()}) == 256
    with pytest.raises(ValueError, match="1 to 256"):
        make_palette(257)


def test_palette_png_keeps_the_indices_and_the_official_palette(tmp_path, data_dir):
    labels = np.random.RandomState(0).randint(0, 256, (7, 5))
    write_palette_png(str(tmp_path / "a.png"), labels)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), labels)
        palette = np.array(picture.getpalette()).reshape(-1, 3)
    assert np.array_equal(palette, make_palette(256))
    official = next((data_dir / "voc_sample" / "SegmentationClass").iterdir())
    with Image.open(official) as picture:
        used = np.unique(np.array(picture))
        stored = np.array(picture.getpalette()).reshape(-1, 3)
    assert np.array_equal(stored[used], make_palette(256)[used])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    write_palette_png(str(path), np.zeros((2, 2), int))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="labels 0 to 256"):
        write_palette_png(str(path), np.array([[0, 256]]))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_overlay_changes_labelled_pixels_only():
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [1, 0]])
    mixed = overlay(image, labels, np.array([[9, 9, 9], [200, 0, 50]], np.uint8))
    assert (mixed[labels == 0] == 100).all() and mixed[0, 1].tolist() == [150, 50, 75]
    with pytest.raises(ValueError, match="one size"):
        overlay(image, labels[:1], make_palette(2))
    with pytest.raises(ValueError, match="palette of 1 colours"):
        colorize(labels, make_palette(1))
    with pytest.raises(ValueError, match="integers"):
        colorize(labels * 0.5, make_palette(2))


def test_legend_shows_the_present_classes_in_their_colours():
    palette = make_palette(4)
    picture = legend(["a", "b", "c", "d"], palette, present=[1, 3, 255])
    assert picture.shape[0] == 2 * 24
    assert picture[12, 20].tolist() == palette[1].tolist() and picture[36, 20].tolist() == palette[3].tolist()
    assert legend(["a"], palette, present=[]).shape[0] == 1


def test_confusion_picture():
    matrix = np.array([[10, 0, 0], [5, 5, 0], [0, 0, 0]])
    picture = confusion_picture(matrix, ["sky", "road", "moon"])
    side = picture.shape[0]
    assert picture.shape == (side, side, 3) and picture.dtype == np.uint8
    corner = side - 8 - 3 * 32
    assert picture[corner + 3, corner + 3].tolist() == [255, 0, 0], "a class always right is fully coloured"
    assert picture[corner + 3, corner + 35].tolist() == [255, 255, 255]
    with pytest.raises(ValueError, match="must be square"):
        confusion_picture(matrix, ["sky"])
