"""Images from disk to network input: reading, resizing, mean subtraction.

An image is (h, w, 3) uint8 in B, G, R order; a tensor is (1, 3, H, W) float32 in R, G, B order, minus the
means.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Sequence, Union

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from fullconv.lib.dataset.jpeg import is_damaged, scans
from fullconv.lib.utils import pixel_limit

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
"""What PIL may take a file for, whatever its name says: for EPS and the like it runs programs on the file."""
MAX_PIXEL_BYTES, SPARE_BYTES = 16, 64 << 20
"""Bytes that a file may have for each pixel, and besides: for what cameras and editors put into it."""
MAX_SCANS = 100
"""Passes over the picture that a JPEG may take. Those made for quick display have some ten; one that corrects nothing
takes 20 bytes of a file, and as long as any other to decode."""
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


# The limit here is ours, FULLCONV_MAX_PIXELS, which may be above PIL's own.
Image.MAX_IMAGE_PIXELS = None


class ImageError(ValueError):
    """An image that cannot be used; the text names the file and what to do about it."""


class PixelLimitError(ValueError):
    """More pixels than are allowed."""


def max_pixels() -> int:
    """Pixels from which an image is refused: FULLCONV_MAX_PIXELS, looked up now, else a hundred million.

    Raises ImageError: the variable holds no positive number.
    """
    try:
        return pixel_limit.max_pixels()
    except ValueError as error:
        raise ImageError(str(error)) from None


def open_picture(file: Union[str, Path, BinaryIO], limit: int | None = None) -> Image.Image:
    """`PIL.Image.open`, restricted to FORMATS and to `limit` pixels (default `max_pixels()`); nothing is decoded yet.

    Raises PixelLimitError: more pixels; and whatever PIL's readers raise on other or damaged files.
    """
    limit = max_pixels() if limit is None else limit
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > limit:
        image.close()
        raise PixelLimitError(
            f"{image.width} x {image.height} pixels exceed the limit of {limit}: shrink it, or raise "
            "FULLCONV_MAX_PIXELS if you trust the file"
        )
    return image


def read_image(path: str, limit: int | None = None) -> np.ndarray:
    """Decode an image file to (h, w, 3) uint8 BGR.

    Grey, palette, CMYK, 16-bit and alpha images become 8-bit BGR (alpha is dropped, 16 bits keep the high
    byte), and the EXIF orientation is ignored: annotations are in the stored frame (original's behaviour).

    Raises ImageError: missing, empty, truncated or undecodable file, or one announcing more than `limit` pixels
    (default `max_pixels()`).
    """
    _check_file(path)
    with open(path, "rb") as file:
        width, height = _header_size(file, path, limit)
        _check_length(path, width * height)
        file.seek(0)
        data = file.read()
    if width * height > _capacity(data):
        raise ImageError(
            f"{path}: {len(data)} bytes cannot hold {width} x {height} pixels, it is damaged: copy it again"
        )
    _check_complete(data, path, width * height)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        raise ImageError(f"{path}: OpenCV cannot decode it ({error.err}): save it as JPEG or PNG") from error
    if image is None or image.shape[:2] != (height, width):
        raise ImageError(f"{path}: damaged, or of a kind OpenCV cannot decode: save it as JPEG or PNG")
    return image


def image_size(path: str, limit: int | None = None) -> tuple[int, int]:
    """(height, width) from the header alone, EXIF orientation ignored: the shape `read_image` gives.

    Raises ImageError as `read_image`, except that damage behind the header goes unnoticed.
    """
    _check_file(path)
    with open(path, "rb") as file:
        width, height = _header_size(file, path, limit)
    return height, width


def _check_file(path: str) -> None:
    if not os.path.isfile(path):
        raise ImageError(f"{path}: no such image: check dataset_path, or take it out of the image set")
    if os.path.getsize(path) == 0:
        raise ImageError(f"{path}: the image file is empty (0 bytes): copy it again")


def _check_length(path: str, pixels: int) -> None:
    """Before the bytes are read: a picture of a few pixels with gigabytes behind it is none."""
    size = os.path.getsize(path)
    if size > MAX_PIXEL_BYTES * pixels + SPARE_BYTES:
        raise ImageError(f"{path}: {size} bytes are too many for its {pixels} pixels: replace it by a JPEG or PNG")


def _header_size(file: BinaryIO, path: str, limit: int | None) -> tuple[int, int]:
    """(width, height); refuses decompression bombs before a pixel is decoded."""
    try:
        with open_picture(file, limit) as header:
            return header.size
    except (PixelLimitError, ImageError) as error:
        raise ImageError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not one of {', '.join(FORMATS)}: replace it by a JPEG or PNG") from error
    except Exception as error:  # PIL's format readers raise anything on damaged headers
        raise ImageError(f"{path}: not a readable image ({error}): replace it by a JPEG or PNG") from error


def _capacity(data: bytes) -> float:
    """Most pixels that the bytes of a PNG or JPEG can code: decoders reserve and fill what a damaged header announces.

    PNG: deflate shrinks to 1 / 1032 at best. JPEG: every 8 x 8 block takes a bit.
    """
    if data.startswith(b"\x89PNG") and len(data) > 25:
        channels = {0: 1, 2: 3, 3: 1, 4: 2}.get(data[25], 4)
        return 1032 * 8 * len(data) / (channels * max(1, data[24]))
    return 8 * 64 * len(data) if data.startswith(b"\xff\xd8") else float("inf")


def _check_complete(data: bytes, path: str, pixels: int) -> None:
    """OpenCV fills the missing part of a truncated file with grey and goes on; refuse it instead.

    Whole JPEG files are recognised by their codes and end marker, PNG ones by their checksums, WEBP ones by their
    length; only the rest pays for a second decoding.
    """
    if data.startswith(b"\xff\xd8"):
        if scans(data) > MAX_SCANS:
            raise ImageError(f"{path}: a JPEG of more than {MAX_SCANS} scans would take minutes: save it anew")
        if is_damaged(data):
            raise ImageError(
                f"{path}: the image is damaged: its codes do not make up the picture: copy it again, or, if it looks "
                "whole, save it anew"
            )
        if data.endswith(b"\xff\xd9"):
            return
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        # Its decoder gives nothing for half a stream; a second decoding would take four bytes for every pixel.
        if len(data) < 8 + int.from_bytes(data[4:8], "little"):
            raise ImageError(f"{path}: the image is truncated (shorter than its header says): copy it again")
        return
    if data.startswith(b"\x89PNG"):
        if not _is_whole_png(data):
            raise ImageError(f"{path}: the image is truncated or damaged (PNG checksums): copy it again")
        return
    try:
        with open_picture(io.BytesIO(data), pixels) as image:
            image.load()
    except Exception as error:
        raise ImageError(f"{path}: the image is truncated or damaged ({error}): copy it again") from error


def _is_whole_png(data: bytes) -> bool:
    """Whether the chunks follow each other up to IEND with right checksums; OpenCV reserves any length they state."""
    position = 8
    while position + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + size
        if end + 4 > len(data) or zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if kind == b"IEND":
            return True
        position = end + 4
    return False


def resize_scale(height: int, width: int, target_size: int, max_size: int) -> float:
    """Scale that brings the short side to `target_size` unless the long side would exceed `max_size`."""
    short, long = min(height, width), max(height, width)
    scale = float(target_size) / short
    return float(max_size) / long if np.round(scale * long) > max_size else scale


def resize_image(image: np.ndarray, target_size: int, max_size: int, stride: int = 0) -> tuple[np.ndarray, float]:
    """Resize (h, w, 3) uint8 by the original's scale rule; returns ((H, W, 3) uint8, scale).

    `stride` > 0 pads bottom and right with zeros to a multiple of it, before the mean is subtracted
    (original's behaviour).
    """
    if image.ndim != 3 or image.size == 0 or target_size <= 0 or max_size <= 0 or stride < 0:
        raise ValueError(
            f"cannot resize an image of shape {image.shape} to short side {target_size}, long side "
            f"{max_size}, stride {stride}: sizes must be positive"
        )
    scale = resize_scale(image.shape[0], image.shape[1], target_size, max_size)
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    if stride:
        height, width = resized.shape[:2]
        bottom, right = -height % stride, -width % stride
        resized = cv2.copyMakeBorder(resized, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return resized, scale


def to_tensor(image: np.ndarray, pixel_means: Sequence[float]) -> np.ndarray:
    """(H, W, 3) uint8 BGR -> (1, 3, H, W) float32 RGB minus `pixel_means`, which are in B, G, R order.

    The difference is taken in float64 and then rounded (original's behaviour); a table of 256 values makes
    it fast.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image must be (h, w, 3) uint8, this one is {image.shape} {image.dtype}")
    means = _means(pixel_means)
    tensor = np.empty((1, 3) + image.shape[:2], np.float32)
    levels = np.arange(256, dtype=np.float64)
    for channel, plane in enumerate(cv2.split(image)):
        table = (levels - means[channel]).astype(np.float32)
        cv2.LUT(plane, table, dst=tensor[0, 2 - channel])
    return tensor


def tensor_to_image(tensor: np.ndarray, pixel_means: Sequence[float]) -> np.ndarray:
    """Inverse of `to_tensor`: (1, 3, H, W) -> (H, W, 3) uint8 BGR, rounded and clipped to 0..255.

    The original's `transform_inverse` gives the same numbers in R, G, B order.
    """
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 3):
        raise ValueError(f"a tensor must be (1, 3, H, W), this one is {tensor.shape}")
    image = tensor[0, ::-1].transpose(1, 2, 0) + _means(pixel_means)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _means(pixel_means: Sequence[float]) -> np.ndarray:
    means = np.asarray(pixel_means, np.float64).ravel()
    if means.shape != (3,):
        raise ValueError(f"PIXEL_MEANS needs three numbers (B, G, R), got {means.tolist()}")
    return means


def scale_boxes(boxes: np.ndarray, scale: float, shape: Sequence[int]) -> np.ndarray:
    """Boxes (n, 4) float64 in the image resized by `scale` to `shape` (H, W): rounded, then clipped."""
    scaled = np.round(np.asarray(boxes, np.float64).reshape(-1, 4) * scale)
    scaled[:, 0::2] = np.clip(scaled[:, 0::2], 0, shape[1] - 1)
    scaled[:, 1::2] = np.clip(scaled[:, 1::2], 0, shape[0] - 1)
    return scaled
