"""VOC's colours, and PNGs that keep class indices."""

import numpy as np
import pytest
from PIL import Image

from fullconv.lib.dataset.segmentation.palette import make_palette, moved_labels, write_palette_png
from fullconv.lib.dataset.voc_files import VOC_CLASSES


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


def test_only_palettes_that_are_vocs_can_be_renumbered():
    voc, own = make_palette(256), ["sky", "road", "car"]
    swapped = voc.copy()
    swapped[[1, 2]] = voc[[2, 1]]
    assert moved_labels(voc, range(3), own) == {} and moved_labels(swapped, (0, 1, 2), own) == {1: 2, 2: 1}
    camvid = np.array([[128, 128, 128], [128, 0, 0], [192, 192, 128], [0, 0, 0], [128, 128, 0]])
    assert moved_labels(camvid, range(5), ["sky", "building", "pole", "x", "tree"]) == {}
    two = np.array([[0, 0, 0], [0, 128, 0], [0, 0, 0]])
    assert moved_labels(two, (0, 1), own) == {}, "black and green are anybody's"
    assert moved_labels(two, (0, 1), ["background", *VOC_CLASSES]) == {1: 2}, "but green is VOC's bicycle"
    assert moved_labels(voc, (0, 20, 255), ["background", *VOC_CLASSES]) == {}
