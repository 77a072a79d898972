"""Pictures of objects: masks, outlines, boxes and labels drawn on BGR images; needs no display."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Sequence, Tuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fullconv.lib.structures.detections import Detections

BLEND = 0.5  # share of the colour inside a mask
GOLDEN_RATIO = 0.6180339887  # steps of it around the colour wheel keep neighbours apart
CROWDED = 15  # labels are smaller where there are more
CAPTION_BACKGROUND = (38, 34, 32)
CAPTION_INK = (245, 245, 245)
Rectangle = Tuple[float, float, float, float]


def instance_colors(count: int) -> np.ndarray:
    """(count, 3) uint8 BGR colours, bright and well apart for consecutive instances."""
    colors = np.zeros((count, 3), dtype=np.uint8)
    for k in range(count):
        # Starts at blue, and after eight hues turns to another saturation: by then hues come near those used before.
        hue, saturation = (0.58 + k * GOLDEN_RATIO) % 1.0, (0.78, 0.62, 0.9)[k // 8 % 3]
        rgb = colorsys.hsv_to_rgb(hue, saturation, 1.0)
        colors[k] = [round(255 * v) for v in rgb[::-1]]
    return colors


def draw_detections(
    image: np.ndarray, found: Detections, classes: Sequence[str], binary_thresh: float = 0.4, blend: float = BLEND
) -> np.ndarray:
    """Draw the detections of an image (h, w, 3) uint8 BGR with class and score; classes: names, background first.

    See `draw_instances`.
    """
    labels = [classes[label] for label in found.labels]
    return draw_instances(image, found.boxes, labels, found.masks, found.scores, binary_thresh, blend)


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[str],
    masks: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    binary_thresh: float = 0.4,
    blend: float = BLEND,
) -> np.ndarray:
    """Draw instances, small ones on top of large ones, so that none disappears.

    Args:
        image: (h, w, 3) uint8 BGR; not changed.
        boxes: (m, 4) x1, y1, x2, y2 in pixels of the image with inclusive ends; one that is not finite is left out.
        labels: m class names; the score is added where there is one.
        masks: (m, M, M) foreground probability inside the box, or (m, h, w) over the whole image; without them only
            boxes are drawn.
        scores: (m,); the best are labelled first, where labels want the same place.
        binary_thresh: least probability that belongs to the mask.
        blend: share of the colour inside a mask.

    Returns:
        (h, w, 3) uint8 BGR.

    Raises:
        ValueError: no BGR image, or boxes, masks, scores and labels of different numbers.
    """
    boxes = _checked(image, boxes, labels, masks, scores)
    order = np.zeros(len(boxes)) if scores is None else -np.asarray(scores, np.float64)
    # What has no finite place or rank cannot be drawn, and cast to integers it would be anywhere.
    usable = np.isfinite(boxes).all(axis=1) & np.isfinite(order)
    ranked = [k for k in np.argsort(order, kind="stable") if usable[k]]
    colors = instance_colors(len(ranked))
    areas = (boxes[ranked, 2] - boxes[ranked, 0] + 1) * (boxes[ranked, 3] - boxes[ranked, 1] + 1)
    by_size = np.argsort(-areas, kind="stable")
    unit = line_unit(image.shape)
    # Floating point while masks are laid over each other, so that every overlap does not round once more.
    canvas = image.astype(np.float32)
    outlines: dict[int, list[np.ndarray]] = {}
    if masks is not None:
        for rank in by_size:
            k = ranked[rank]
            alpha, outlines[rank] = _mask_layers(masks[k], boxes[k], image.shape[:2], binary_thresh)
            canvas += (alpha * blend)[..., None] * (colors[rank].astype(np.float32) - canvas)
    canvas = canvas.round().astype(np.uint8)
    for rank in by_size:
        _draw_outline(canvas, outlines.get(rank, []), boxes[ranked[rank]], colors[rank].tolist(), unit)
    texts = [str(labels[k]) if scores is None else f"{labels[k]} {scores[k]:.2f}" for k in ranked]
    return _draw_labels(canvas, boxes[ranked], texts, colors, unit)


def _checked(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[str],
    masks: np.ndarray | None,
    scores: np.ndarray | None,
) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"need a BGR image (h, w, 3) of uint8, got {image.shape} of {image.dtype}")
    counts = {"boxes": len(boxes), "labels": len(labels)}
    counts.update({name: len(a) for name, a in (("masks", masks), ("scores", scores)) if a is not None})
    if len(set(counts.values())) > 1:
        raise ValueError(f"{', '.join(f'{count} {name}' for name, count in counts.items())}: need one each")
    boxes = np.asarray(boxes, dtype=np.float64).reshape(len(boxes), -1 if len(boxes) else 4)
    if boxes.shape[1] != 4:
        raise ValueError(f"boxes have shape {boxes.shape}, expected (m, 4)")
    return boxes


def line_unit(shape: Sequence[int]) -> float:
    """Pixels that look like one: 1 for an image of VOC size, growing with the image."""
    return max(1.0, min(shape[:2]) / 480.0)


def _mask_layers(
    mask: np.ndarray, box: np.ndarray, size: tuple[int, ...], binary_thresh: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Coverage (h, w) float32 in 0..1 with soft edges, and contours (k, 1, 2) in 1/16 pixels."""
    if mask.shape == size:
        cover = (mask >= binary_thresh).astype(np.uint8)
        return cover.astype(np.float32), _contours(cover, 1, (0, 0))
    alpha = np.zeros(size, dtype=np.float32)
    x1, y1, x2, y2 = (int(v) for v in np.round(box[:4]))
    width, height = x2 - x1 + 1, y2 - y1 + 1
    visible = max(x1, 0), max(y1, 0), min(x2, size[1] - 1) + 1, min(y2, size[0] - 1) + 1
    # A box many times the image, as a diverged network makes, would take its size in memory below.
    if visible[2] <= visible[0] or visible[3] <= visible[1] or max(width, height) > 8 * max(size):
        return alpha, []
    # The cut is made on a finer grid than the image, which gives smooth edges without blurring the shape.
    # Coarser for large boxes, whose edges look smooth by themselves: the grid costs up to 16 times their pixels.
    fine = 4 if width * height < 400_000 else 2 if width * height < 4_000_000 else 1
    smooth = cv2.resize(mask.astype(np.float32), (width * fine, height * fine))
    cover = (smooth >= binary_thresh).astype(np.uint8)
    # Mean over the fine pixels: the share of each pixel that is covered.
    soft = cv2.resize(cover.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    rows, columns = slice(visible[1] - y1, visible[3] - y1), slice(visible[0] - x1, visible[2] - x1)
    alpha[visible[1] : visible[3], visible[0] : visible[2]] = soft[rows, columns]
    return alpha, _contours(cover, fine, (x1, y1))


def _contours(cover: np.ndarray, fine: int, origin: tuple[int, int]) -> list[np.ndarray]:
    """Outlines of a fine grid in 1/16 image pixels (OpenCV's fixed point); specks of a pixel are left out."""
    found, _ = cv2.findContours(cover, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = []
    for contour in found:
        if len(contour) >= 4 * fine:
            # From centres of fine pixels to coordinates in which centres of the image's pixels are whole.
            points = (contour + 0.5) / fine - 0.5 + np.array(origin)
            contours.append(np.round(points * 16).astype(np.int32))
    return contours


def _draw_outline(
    canvas: np.ndarray, contours: list[np.ndarray], box: np.ndarray, color: list[int], unit: float
) -> None:
    dark = [int(0.35 * v) for v in color]
    # A dark line below a bright one is seen on any ground.
    for thickness, ink in ((3 * unit, dark), (1.6 * unit, color)):
        cv2.polylines(canvas, contours, True, ink, max(1, round(thickness)), cv2.LINE_AA, shift=4)
    # Far outside of any image, and inside of what OpenCV's fixed point can hold.
    low, high = np.clip(np.round(box[:4]), -16384, 16384).astype(int).reshape(2, 2).tolist()
    cv2.rectangle(canvas, low, high, color, max(1, round(unit)), cv2.LINE_AA)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _draw_labels(
    canvas: np.ndarray, boxes: np.ndarray, texts: Sequence[str], colors: np.ndarray, unit: float
) -> np.ndarray:
    """Label chips at the boxes' upper left corners, inside the image, the first ones choose their place."""
    # PIL, as OpenCV's letters are strokes of ASCII only. It takes R, G, B.
    picture = Image.fromarray(canvas[..., ::-1])
    draw, font = ImageDraw.Draw(picture), _font(round((13 if len(texts) <= CROWDED else 11) * unit))
    taken: list[Rectangle] = []
    for box, text, color in zip(boxes, texts, colors):
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        padding = round(3 * unit)
        size = right - left + 2 * padding, bottom - top + 2 * padding
        place = _place(box, size, canvas.shape, taken)
        taken.append(place)
        red, green, blue = (int(v) for v in color[::-1])
        draw.rounded_rectangle(place, radius=padding, fill=(red, green, blue))
        # Brightness by the weights of television (BT.601).
        ink = (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else (255, 255, 255)
        # A text's box does not begin at the point it is drawn at.
        draw.text((place[0] + padding - left, place[1] + padding - top), text, font=font, fill=ink)
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


def _place(box: np.ndarray, size: tuple[float, float], shape: tuple[int, ...], taken: Sequence[Rectangle]) -> Rectangle:
    """A rectangle of `size` near the box and inside the image, clear of those taken if any place is."""
    width, height = size
    x1, y1, x2, y2 = box[:4]
    wishes = [(x1, y1 - height), (x1, y1), (x2 - width, y1 - height), (x2 - width, y1)]
    wishes += [(x1, y2 - height), (x1, y2), (x1, y1 + height), (x1, y1 + 2 * height)]
    rectangles = []
    for x, y in wishes:
        x = float(np.clip(round(x), 0, max(0, shape[1] - 1 - width)))
        y = float(np.clip(round(y), 0, max(0, shape[0] - 1 - height)))
        rectangles.append((x, y, x + width, y + height))
    free = [r for r in rectangles if not any(_meet(r, t) for t in taken)]
    # Where no place is free, the first wish: labels on top of each other beat a label far from its box.
    return (free or rectangles)[0]


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def with_caption(image: np.ndarray, text: str) -> np.ndarray:
    """The image (h, w, 3) uint8 BGR with a dark bar above it that says `text`."""
    unit = line_unit(image.shape)
    bar = np.empty((round(22 * unit), image.shape[1], 3), dtype=np.uint8)
    bar[:] = CAPTION_BACKGROUND
    picture = Image.fromarray(bar[..., ::-1])
    ink = CAPTION_INK[::-1]
    position = (round(8 * unit), bar.shape[0] // 2)
    ImageDraw.Draw(picture).text(position, text, font=_font(round(13 * unit)), fill=ink, anchor="lm")
    return np.vstack([np.asarray(picture)[..., ::-1], image])


def side_by_side(
    ground_truth: np.ndarray, prediction: np.ndarray, captions: Sequence[str] = ("ground truth", "prediction")
) -> np.ndarray:
    """Two pictures (h, w, 3) uint8 BGR of one size next to each other, each with its caption.

    Raises ValueError when the sizes differ.
    """
    if ground_truth.shape != prediction.shape:
        raise ValueError(f"pictures of {ground_truth.shape} and {prediction.shape} are not of one image")
    left, right = with_caption(ground_truth, captions[0]), with_caption(prediction, captions[1])
    gap = np.full((left.shape[0], round(4 * line_unit(ground_truth.shape)), 3), 255, dtype=np.uint8)
    return np.hstack([left, gap, right])
