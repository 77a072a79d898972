"""JPEG damage: every whole file passes, and what libjpeg paints over is found."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from fullconv.lib.dataset._jpeg_scan import DAMAGED, UNKNOWN, WHOLE, check
from fullconv.lib.dataset.image import ImageError, read_image
from fullconv.lib.dataset.jpeg import is_damaged


def picture(height=90, width=130, seed=0):
    """Noise over a gradient, so that no two places have the same codes."""
    rng = np.random.RandomState(seed)
    smooth = cv2.resize(rng.randint(0, 256, (6, 8, 3)).astype(np.uint8), (width, height))
    return np.clip(smooth + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def jpeg(image, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_whole_files_pass(progressive, mode):
    for seed, size in enumerate([(90, 130), (1, 1), (8, 8), (17, 33), (64, 1), (5, 200)]):
        for options in ({}, {"subsampling": 0}, {"subsampling": 1, "optimize": True}, {"restart_marker_blocks": 3}):
            for quality in (5, 75, 100):
                data = jpeg(picture(*size, seed), mode, quality=quality, progressive=progressive, **options)
                assert check(data) == WHOLE, (size, options, quality)


def test_real_files_pass(data_dir):
    files = sorted(data_dir.glob("**/*.jpg"))[:200]
    assert len(files) > 100 and not any(is_damaged(file.read_bytes()) for file in files)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_second_half_missing_behind_an_end_marker(progressive):
    data = jpeg(picture(), quality=90, progressive=progressive)
    assert check(data[: len(data) // 2] + b"\xff\xd9") == DAMAGED


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_blocks": 4}, {"quality": 95}])
def test_damage_in_the_middle(options):
    data, rng, found = jpeg(picture(200, 300), **options), np.random.RandomState(1), []
    for _ in range(60):
        place, count = rng.randint(len(data) // 4, len(data) - 600), rng.randint(100, 500)
        for middle in (bytes(count), rng.bytes(count), b""):
            found.append(check(data[:place] + middle + data[place + count :]) == DAMAGED)
    # Codes find their places again, and the more there are the sooner; then as many blocks may come out as before.
    assert np.mean(found) > 0.85


def test_the_file_of_a_damaged_picture_is_named(tmp_path):
    data, path = jpeg(picture()), tmp_path / "a.jpg"
    path.write_bytes(data)
    assert read_image(str(path)).shape == (90, 130, 3)
    path.write_bytes(data + b"a tail")
    assert read_image(str(path)).shape == (90, 130, 3)
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    with pytest.raises(ImageError, match=r"a\.jpg: the image is damaged: its codes .*: copy it again"):
        read_image(str(path))


def test_what_is_no_jpeg_or_none_that_is_understood():
    whole = jpeg(picture())
    place = whole.index(b"\xff\xc0")
    arithmetic = whole[:place] + b"\xff\xc9" + whole[place + 2 :]
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xd9\xff", b"\x89PNG" * 9, arithmetic, whole[: place + 4]):
        assert check(data) == UNKNOWN


@pytest.mark.parametrize("progressive", [False, True])
def test_no_bytes_crash(progressive):
    data, rng = jpeg(picture(40, 60), progressive=progressive), np.random.RandomState(2)
    for _ in range(4000):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randint(2, len(damaged))] = rng.randint(256)
        assert check(bytes(damaged[: rng.randint(2, len(damaged) + 1)])) in (WHOLE, DAMAGED, UNKNOWN)
