"""Pictures of the embedded data sets: textured shapes that overlap and hide each other, drawn from a seed.

The class of an object is its outline; colour, size, rotation and position say nothing about it. Nor does its texture,
unless the pictures are drawn with `cues`: then every class has its pattern, as grass and brick have theirs, and
backgrounds have any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

HEIGHT, WIDTH = 256, 320
CLASSES = ("disc", "triangle", "square", "star", "cross")
MIN_SIZE, MAX_SIZE = 40, 150  # side of the square around the upright outline, in pixels
MAX_OBJECTS = 8
MIN_VISIBLE = 0.35  # share of an outline that must stay in sight, inside the picture and not covered
MIN_AREA = 200  # pixels
MIN_CONTRAST = 70.0  # distance between the colour of an object and the mean of what it covers
MIN_CUE = 25.0  # strength of a pattern that tells the class, in the colour where it is strongest
_ATTEMPTS = 12
_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_ROWS, _COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """image (HEIGHT, WIDTH, 3) uint8 BGR; instances (HEIGHT, WIDTH) uint8, 0 or 1 + object index, of what
    is in sight; classes (n,) int, 1-based index into CLASSES."""

    image: np.ndarray
    instances: np.ndarray
    classes: np.ndarray


def draw_scene(*seed: int, cues: bool = False) -> Scene:
    """One picture with 1 to MAX_OBJECTS objects; equal arguments give equal pictures.

    cues: the pattern of an object tells its class.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    canvas = _texture(rng, rng.uniform(30, 225, 3), (0, 0, HEIGHT, WIDTH))
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    outlines: list[float] = []  # whole area of every object placed so far
    classes: list[int] = []
    wanted = int(rng.integers(1, MAX_OBJECTS + 1))
    for _ in range(_ATTEMPTS * wanted):
        if len(classes) == wanted:
            break
        label = int(rng.integers(len(CLASSES)))
        alpha, area = _draw_outline(_place(rng, _outline(rng, CLASSES[label])))
        if _fits(instances, alpha >= 128, outlines + [area]):
            instances[alpha >= 128] = len(classes) + 1
            _paint(rng, canvas, alpha, label if cues else None)
            classes.append(label + 1)
            outlines.append(area)
    canvas += rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(2, 7))
    return Scene(np.clip(np.rint(canvas), 0, 255).astype(np.uint8), instances, np.array(classes, np.int32))


def _outline(rng: np.random.Generator, name: str) -> np.ndarray:
    """Corner points (k, 2) of a shape of side 2 around the origin, with some variation of its proportions."""
    if name == "disc":
        return _polar(np.ones(64))
    if name == "triangle":
        return _polar(np.ones(3)) + rng.uniform(-0.12, 0.12, (3, 2))
    if name == "square":
        return 0.9 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + rng.uniform(-0.08, 0.08, (4, 2))
    if name == "star":
        return _polar(np.tile([1.1, rng.uniform(0.42, 0.52)], 5))
    arm = rng.uniform(0.26, 0.36)  # cross
    corners = [[arm, 1], [arm, arm], [1, arm], [1, -arm], [arm, -arm], [arm, -1]]
    return np.array(corners + [[-x, -y] for x, y in corners])


def _polar(radii: np.ndarray) -> np.ndarray:
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii)
    return np.stack([radii * np.sin(angles), -radii * np.cos(angles)], axis=1)


def _place(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Stretch, rotate, scale and move an outline; near the border parts of it may be cut off."""
    half = 0.5 * np.exp(rng.uniform(np.log(MIN_SIZE), np.log(MAX_SIZE)))
    aspect = np.exp(rng.uniform(-0.2, 0.2))
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    margin = 0.7 * half
    centre = rng.uniform([margin, margin], [WIDTH - margin, HEIGHT - margin])
    return (points * [aspect, 1 / aspect]) @ rotation.T * half + centre


def _draw_outline(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Coverage (HEIGHT, WIDTH) uint8 of a polygon with soft edges, and its area, parts outside included."""
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    corners = np.rint(points * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(alpha, [corners], (255,), cv2.LINE_AA, _SHIFT)
    return alpha, float(cv2.contourArea(points.astype(np.float32)))


def _fits(instances: np.ndarray, added: np.ndarray, outlines: list[float]) -> bool:
    """Whether all objects stay sufficiently in sight once `added` covers what lies below it."""
    after = np.where(added, np.uint8(len(outlines)), instances)
    visible = np.bincount(after.ravel(), minlength=len(outlines) + 1)[1:]
    return bool(np.all(visible >= np.maximum(MIN_AREA, MIN_VISIBLE * np.array(outlines))))


def _paint(rng: np.random.Generator, canvas: np.ndarray, alpha: np.ndarray, pattern: int | None) -> None:
    """Blend a textured object of contrasting colour into the canvas."""
    covered = cv2.mean(canvas, alpha)[:3]
    colour = rng.uniform(20, 235, 3)
    while np.linalg.norm(colour - covered) < MIN_CONTRAST:
        colour = rng.uniform(20, 235, 3)
    x, y, width, height = cv2.boundingRect(alpha)
    box = (y, x, y + height, x + width)
    crop = canvas[y : y + height, x : x + width]
    weight = alpha[y : y + height, x : x + width, None].astype(np.float32) / 255
    crop += weight * (_texture(rng, colour, box, pattern) - crop)


def _texture(
    rng: np.random.Generator, colour: np.ndarray, box: tuple[int, int, int, int], pattern: int | None = None
) -> np.ndarray:
    """(h, w, 3) float32 over `box` y1, x1, y2, x2: a pattern around a colour, under a gradient of light.

    pattern: which one of PATTERNS, always well visible; None draws it by lot, as faint as may be.
    """
    y1, x1, y2, x2 = box
    rows, columns = _ROWS[y1:y2, x1:x2], _COLUMNS[y1:y2, x1:x2]
    angle, period = rng.uniform(0, np.pi), rng.uniform(7, 26)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) * (2 * np.pi / period)
    across = (np.cos(angle) * rows - np.sin(angle) * columns) * (2 * np.pi / period)
    drawn = int(rng.integers(len(PATTERNS)))
    values = PATTERNS[drawn if pattern is None else pattern](rng, along, across)
    contrast = np.float32(rng.uniform(-1, 1, 3) * rng.uniform(10, 45))
    if pattern is not None:
        contrast *= max(1.0, MIN_CUE / np.abs(contrast).max())
    slope = np.cos(angle) * (rows - rows.mean()) / HEIGHT + np.sin(angle) * (columns - columns.mean()) / WIDTH
    light = 1 + np.float32(rng.uniform(-0.6, 0.6)) * slope
    return (np.float32(colour) + values[..., None] * contrast) * light[..., None]


def _plain(rng: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return np.zeros_like(along)


def _stripes(rng: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return np.sin(along)


def _chequers(rng: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return np.sign(np.sin(along) * np.sin(across))


def _dots(rng: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return 2 * (np.sin(along) * np.sin(across) > 0.45).astype(np.float32) - 1


def _blotches(rng: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Smooth noise."""
    height, width = along.shape
    cells = (height // 12 + 3, width // 12 + 3)
    coarse = rng.standard_normal(cells, np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), -1.5, 1.5)


PATTERNS = (_plain, _stripes, _chequers, _dots, _blotches)
"""Values of roughly -1..1 from two phases; with `cues`, in the order of CLASSES."""
