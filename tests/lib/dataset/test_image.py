"""Every kind of image file gives a defined BGR array or an error that names the file and the remedy."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import (
    ImageError,
    image_size,
    max_pixels,
    read_image,
    resize_image,
    scale_boxes,
    tensor_to_image,
    to_tensor,
)
from fullconv.lib.dataset.image_files import read_upright
from fullconv.lib.dataset.segmentation.base import read_depth
from fullconv.lib.dataset.segmentation.label_files import read_label_png
from fullconv.lib.dataset.voc_files import read_map

H, W = 40, 56


@pytest.fixture
def picture():
    noise = np.random.RandomState(0).randint(0, 255, (H, W, 3), np.uint8)
    return cv2.GaussianBlur(noise, (9, 9), 3)


def _save(picture, path, mode="RGB", **options):
    Image.fromarray(picture[..., ::-1]).convert(mode).save(path, **options)
    return str(path)


@pytest.mark.parametrize("name, mode", [("a.png", "RGB"), ("a.bmp", "RGB"), ("a.png", "RGBA"), ("a.tiff", "RGB")])
def test_lossless_formats_are_exact(tmp_path, picture, name, mode):
    path = _save(picture, tmp_path / name, mode)
    np.testing.assert_array_equal(read_image(path), picture)
    assert image_size(path) == (H, W)


@pytest.mark.parametrize("name, mode", [("a.jpg", "RGB"), ("a.jpg", "CMYK"), ("a.webp", "RGB")])
def test_lossy_formats_are_close(tmp_path, picture, name, mode):
    image = read_image(_save(picture, tmp_path / name, mode, quality=95))
    assert image.dtype == np.uint8 and np.abs(image.astype(int) - picture).mean() < 4


@pytest.mark.parametrize("name, mode", [("a.png", "L"), ("a.png", "LA"), ("a.jpg", "L"), ("a.png", "1")])
def test_grey_gets_three_equal_channels(tmp_path, picture, name, mode):
    image = read_image(_save(picture, tmp_path / name, mode))
    assert image.shape == (H, W, 3)
    assert (image == image[..., :1]).all()


def test_palette(tmp_path, picture):
    path = _save(picture, tmp_path / "a.png", "P")
    expected = np.array(Image.open(path).convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bit_keeps_the_high_byte(tmp_path, picture, name):
    path = str(tmp_path / name)
    cv2.imwrite(path, picture.astype(np.uint16) * 256 + 77)
    assert np.abs(read_image(path).astype(int) - picture).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_ignored(tmp_path, picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = read_image(_save(picture, tmp_path / "plain.jpg", quality=95))
    path = _save(picture, tmp_path / "turned.jpg", quality=95, exif=exif)
    np.testing.assert_array_equal(read_image(path), plain)
    assert image_size(path) == (H, W)


def test_missing_and_empty_files(tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    for function in (read_image, image_size):
        with pytest.raises(ImageError, match=r"gone\.jpg: no such image: check dataset_path"):
            function(str(tmp_path / "gone.jpg"))
        with pytest.raises(ImageError, match=r"empty\.jpg: the image file is empty .* copy it again"):
            function(str(empty))


@pytest.mark.parametrize("data", [b"not an image at all", b"\xff\xd8\xff\xe0 and then nothing", bytes(4000)])
def test_foreign_content(tmp_path, data):
    path = tmp_path / "odd.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"odd\.jpg: .*(replace|copy|save) it"):
        read_image(str(path))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.webp", "a.tiff"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated(tmp_path, picture, name, share):
    path = tmp_path / name
    data = Path(_save(picture, path)).read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match=name.replace(".", r"\.") + ": .*(copy|save|replace)"):
        read_image(str(path))


def test_bytes_after_the_end_are_harmless(tmp_path, picture):
    path = tmp_path / "a.png"
    data = Path(_save(picture, path)).read_bytes()
    path.write_bytes(data + b"\0\0tail")
    np.testing.assert_array_equal(read_image(str(path)), picture)


def test_damaged_png_is_never_read_silently(tmp_path, picture):
    path = tmp_path / "a.png"
    data = Path(_save(picture, path)).read_bytes()
    random = np.random.RandomState(1)
    for _ in range(40):
        damaged = bytearray(data)
        damaged[random.randint(8, len(data) - 12)] ^= 1 << random.randint(8)
        path.write_bytes(damaged)
        with pytest.raises(ImageError):
            read_image(str(path))


def _bomb(width, height):
    """A PNG that announces a huge image in 60 bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10001, 60000])
def test_decompression_bomb(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(_bomb(side, side))
    for function in (read_image, image_size):
        with pytest.raises(ImageError, match=r"bomb\.png: .*FULLCONV_MAX_PIXELS"):
            function(str(path))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_most_compressible_images_are_read(tmp_path, mode):
    """A white image is the smallest file of its size; it is not taken for a damaged one."""
    for name in ("white.png", "white.jpg"):
        if name.endswith("png") or mode in ("L", "RGB"):
            path = str(tmp_path / name)
            Image.new(mode, (3000, 2000), "white").save(path, optimize=True, quality=1, progressive=True)
            assert (read_image(path) >= 254).all()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_more_pixels_than_bytes_can_hold(tmp_path, picture):
    jpeg, png = tmp_path / "a.jpg", tmp_path / "a.png"
    data = Path(_save(picture, jpeg)).read_bytes()
    jpeg.write_bytes(data.replace(struct.pack(">HH", H, W), struct.pack(">HH", 9999, 9999), 1))
    png.write_bytes(_bomb(9999, 9999))
    for path in (jpeg, png):
        with pytest.raises(ImageError, match=r"bytes cannot hold 9999 x 9999 pixels.*copy it again"):
            read_image(str(path))


def test_png_chunk_of_two_gigabytes(tmp_path, picture):
    """Its stated length would be reserved by OpenCV before the end of the file is noticed."""
    path = tmp_path / "a.png"
    data = bytearray(Path(_save(picture, path)).read_bytes())
    data[33:37] = struct.pack(">I", 2**31 - 1)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="a.png: .*damaged"):
        read_image(str(path))


def test_pixel_limit_is_configurable(tmp_path, picture):
    path = _save(picture, tmp_path / "a.png")
    assert read_image(path, limit=H * W).shape == (H, W, 3)
    with pytest.raises(ImageError, match="56 x 40 pixels exceed the limit of 2239"):
        read_image(path, limit=H * W - 1)


def test_the_variable_for_the_limit_is_read_when_an_image_is(tmp_path, picture, monkeypatch):
    path = _save(picture, tmp_path / "a.png")
    assert image_size(path) == (H, W)
    monkeypatch.setenv("FULLCONV_MAX_PIXELS", "2239")
    for function in (read_image, image_size):
        with pytest.raises(ImageError, match="exceed the limit of 2239: shrink it, or raise FULLCONV_MAX_PIXELS"):
            function(path)
    for text in ("many", "0", "-5", "1e9"):
        monkeypatch.setenv("FULLCONV_MAX_PIXELS", text)
        with pytest.raises(ImageError, match=f"FULLCONV_MAX_PIXELS is '{text}': set it to a number of pixels"):
            image_size(path)
    monkeypatch.setenv("FULLCONV_MAX_PIXELS", "")
    assert max_pixels() == 10**8


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 56 40\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture
def eps(tmp_path, monkeypatch):
    """Path of a PostScript file named .png; a test fails where it would be run."""

    def run(*_, **__):
        raise AssertionError("PIL would start Ghostscript")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    path = tmp_path / "a.png"
    path.write_bytes(EPS)
    with Image.open(path) as image, pytest.raises(AssertionError, match="Ghostscript"):
        image.load()  # what every reader below must avoid
    return str(path)


@pytest.mark.parametrize(
    "read",
    [
        read_image,
        image_size,
        lambda path: read_upright(Path(path)),
        lambda path: read_label_png(path, (H, W)),
        lambda path: read_map(path, "GTinst", (H, W)),
        read_depth,
    ],
    ids=["image", "size", "photo", "label", "instances", "depth"],
)
def test_postscript_in_a_png_is_refused_and_never_run(eps, read):
    with pytest.raises(ValueError, match=r"a\.png|cannot identify") as refused:
        read(eps)
    assert isinstance(refused.value, (ImageError, DatasetError))


def test_tensor_round_trip(picture):
    tensor = to_tensor(picture, (10.5, 20.25, 30.125))
    assert tensor.shape == (1, 3, H, W) and tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, 0], picture[..., 2] - 30.125, atol=1e-5)
    np.testing.assert_array_equal(tensor_to_image(tensor, (10.5, 20.25, 30.125)), picture)


def test_tensor_of_a_mirrored_view(picture):
    mirrored = picture[:, ::-1]
    np.testing.assert_array_equal(to_tensor(mirrored, (1, 2, 3)), to_tensor(picture, (1, 2, 3))[..., ::-1])


@pytest.mark.parametrize("image", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32)])
def test_tensor_refuses_other_arrays(image):
    with pytest.raises(ValueError, match="uint8"):
        to_tensor(image, (0, 0, 0))


def test_pixel_means_need_three_numbers(picture):
    with pytest.raises(ValueError, match="PIXEL_MEANS needs three numbers"):
        to_tensor(picture, (1, 2))


def test_stride_pads_with_zeros_after_the_image(picture):
    image, scale = resize_image(picture, 40, 100, stride=32)
    assert image.shape == (64, 64, 3) and scale == 1
    np.testing.assert_array_equal(image[:H, :W], picture)
    assert not image[H:].any() and not image[:, W:].any()


def test_resize_refuses_nonsense(picture):
    with pytest.raises(ValueError, match="short side 0"):
        resize_image(picture, 0, 100)


def test_boxes_are_rounded_half_to_even_and_clipped():
    boxes = scale_boxes(np.array([[1, 3, 5, 200]]), 0.5, (50, 60))
    np.testing.assert_array_equal(boxes, [[0, 2, 2, 49]])
    assert scale_boxes(np.zeros((0, 4)), 2.0, (5, 5)).shape == (0, 4)
