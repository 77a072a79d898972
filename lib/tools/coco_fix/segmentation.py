"""The `segmentation` of an annotation: polygons and run-length codes in the forms that exporters write."""

from __future__ import annotations

from typing import Any, NamedTuple

from pycocotools import mask as coco_mask

from fullconv.lib.dataset.detection.coco_format import RLEError, run_lengths
from fullconv.lib.mask.polygon import segmentation_to_mask
from fullconv.lib.tools.coco_fix.values import number, unpack, whole

SLIGHT = 0.05  # share of a side by which a hand misses the edge of a picture; more is a picture of another size


class Mended(NamedTuple):
    """A segmentation as it should be, the kinds of changes made, and what stays wrong ("": nothing)."""

    value: Any
    changes: list[str]
    wrong: str = ""


def mend(value: Any, size: tuple[int, int]) -> Mended:
    """A non-empty segmentation of an image of `size` (height, width)."""
    changes = []
    found = unpack(value)
    if found is not value:
        changes.append("segmentation as text: read")
    if isinstance(found, dict):
        result = _mend_code(found, size)
    elif isinstance(found, list):
        result = _mend_polygons(found, size)
    else:
        return Mended(value, [], f"field 'segmentation' is {type(value).__name__}: give polygons or a run-length code")
    if result.wrong:
        return Mended(value, [], result.wrong)
    return Mended(result.value, [*changes, *result.changes])


def _mend_polygons(value: list[Any], size: tuple[int, int]) -> Mended:
    changes: list[str] = []
    if all(number(part) is not None for part in value):
        if len(value) == 4:
            text = "holds four numbers: a box, or a polygon that lost its points? Draw it again, or write four points"
            return Mended(value, [], f"field 'segmentation' {text}")
        value = [value]
        changes.append("polygon without its outer list: [x1, y1, ...] in a list")
    elif len(value) >= 3 and all(_is_point(part) for part in value):
        value = [value]  # the points of one polygon
    parts: list[list[Any]] = []
    for part in value:
        if isinstance(part, list) and part and all(_is_point(point) for point in part):
            part = [coordinate for point in part for coordinate in point]
            changes.append("polygon as a list of points: x1, y1, x2, y2, ...")
        numbers = [number(item) for item in part] if isinstance(part, list) else [None]
        if None in numbers:
            text = f"polygon {str(part)[:60]} has what is no number: draw it again"
            return Mended(value, [], f"field 'segmentation': {text}")
        if any(isinstance(item, str) for item in part):
            changes.append("coordinates as text: numbers")
        parts.append(numbers if any(isinstance(item, str) for item in part) else part)
    good = [part for part in parts if len(part) % 2 == 0 and len(part) >= 6]
    if not good:
        odd = any(len(part) % 2 for part in parts)
        text = "an odd count of numbers: one is missing, or one too many" if odd else "less than three points"
        return Mended(value, [], f"field 'segmentation': its only polygon has {text}: draw it again")
    if len(good) < len(parts):
        changes.append("polygon with an odd count or less than three points, among good ones: left out")
    return _clip(good, size, list(dict.fromkeys(changes)))


def _is_point(part: Any) -> bool:
    return isinstance(part, list) and len(part) == 2 and all(number(value) is not None for value in part)


def _clip(parts: list[list[Any]], size: tuple[int, int], changes: list[str]) -> Mended:
    """Moves points beyond the edge onto it, where they are not far away."""
    height, width = size
    sides = (width, height)
    clipped = [[min(max(value, 0), sides[i % 2]) for i, value in enumerate(part)] for part in parts]
    if clipped == parts:
        return Mended(parts, changes)
    far = max(abs(v - c) / sides[i % 2] for p, q in zip(parts, clipped) for i, (v, c) in enumerate(zip(p, q)))
    if far > SLIGHT:
        text = (
            f"a polygon reaches {far:.0%} of a side out of the {width} x {height} image: either it goes on outside, "
            "or it was drawn on a picture of another size: cut it, or scale it"
        )
        return Mended(parts, [], f"field 'segmentation': {text}")
    return Mended(clipped, [*changes, "polygon slightly outside of the image: cut at its edge"])


def _mend_code(code: dict[str, Any], size: tuple[int, int]) -> Mended:
    """A run-length code: size and counts as numbers, and counts as Python prints bytes."""
    changes: list[str] = []
    stated, counts = unpack(code.get("size")), unpack(code.get("counts"))
    sides = [whole(side) for side in stated] if isinstance(stated, list) else None
    if isinstance(counts, str) and counts[:2] in ("b'", 'b"') and counts[-1:] == counts[1:2]:
        # A quotation mark is no digit of the code, so these three characters cannot be part of it.
        counts = counts[2:-1].replace("\\\\", "\\")
        changes.append("run-length code as Python prints bytes, b'...': its text")
    if isinstance(counts, list):
        runs = [whole(run) for run in counts]
        counts = counts if None in runs else runs
    if stated is None:
        sides = list(size)
        changes.append("run-length code without size: the image's")
    new = {**code, "size": sides, "counts": counts}
    if sides == [size[1], size[0]] and size[0] != size[1]:
        text = "either height and width are exchanged there, or the code is of a turned mask: correct size, or encode "
        return Mended(code, [], f"field 'segmentation': size {stated} is not the image's {list(size)}: {text}it again")
    try:
        run_lengths(new, size)
    except (RLEError, TypeError) as error:
        return Mended(code, [], f"field 'segmentation': {error}")
    if repr((code.get("size"), code.get("counts"))) != repr((sides, counts)) and not changes:
        changes.append("numbers of a run-length code as text or with a fraction: whole numbers")
    return Mended(new if changes else code, changes)


def extent(segmentation: Any, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 around a sound segmentation, far edges as COCO counts them; None: it has no pixel."""
    if isinstance(segmentation, dict):
        code = segmentation
        if isinstance(code["counts"], list):
            code = coco_mask.frPyObjects(code, *size)
        x, y, width, height = coco_mask.toBbox(code).tolist()
        return (x, y, x + width, y + height) if width and height else None
    columns = [value for part in segmentation for value in part[0::2]]
    rows = [value for part in segmentation for value in part[1::2]]
    found = min(columns), min(rows), max(columns), max(rows)
    return found if found[0] < found[2] and found[1] < found[3] else None


def area(segmentation: Any, size: tuple[int, int]) -> int:
    """Pixels of the mask as it is trained on."""
    return int(segmentation_to_mask(segmentation, *size).sum())
