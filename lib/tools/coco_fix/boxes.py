"""The `bbox` and `area` of an annotation, from the file where they can be read, else from the mask."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from fullconv.lib.tools.coco_fix.segmentation import area, extent
from fullconv.lib.tools.coco_fix.values import as_written, number, unpack

# A box is the mask's when no edge is further off; boxes are rounded, and an edge may count as a pixel.
CLOSE = 2.0
# Edges of boxes drawn by hand are up to 7 pixels off (coco128); what is further off, by this share of the object's
# longer side too, is no rounding.
FAR, FAR_SHARE = 8.0, 0.1


class Box(NamedTuple):
    """Four numbers, None where there are none to read; change: what had to be done to read them ("": nothing)."""

    numbers: list[Any] | None
    change: str = ""


def read_box(value: Any) -> Box:
    """The numbers of a `bbox` field."""
    found = unpack(value)
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    numbers = [number(item) for item in found] if isinstance(found, list) else []
    if len(numbers) != 4 or None in numbers:
        return Box(None)
    if found is value and not any(isinstance(item, str) for item in found):
        return Box(found)
    return Box(numbers, "bbox as text or in a second list: four numbers")


def are_corners(boxes: Sequence[tuple[list[Any], Any, tuple[int, int]]]) -> bool:
    """Whether the boxes of a file are x1, y1, x2, y2: all fit their masks so, and some fit in no other way.

    boxes: numbers, sound segmentation and (height, width) of every annotation that has them.
    """
    plain, corners = [], []
    for box, segmentation, size in boxes:
        wanted = extent(segmentation, size)
        if wanted is not None:
            plain.append(_near([box[0], box[1], box[0] + box[2], box[1] + box[3]], wanted))
            corners.append(_near(box, wanted))
    return bool(corners) and all(corners) and not all(plain)


def mend_box(box: list[Any] | None, segmentation: Any, size: tuple[int, int]) -> tuple[list[Any] | None, str, str]:
    """The box, the kind of change ("": none), and what stays wrong ("": nothing).

    segmentation: sound, or None where there is no mask to learn from.
    """
    found = extent(segmentation, size) if segmentation is not None else None
    mask_box = [found[0], found[1], found[2] - found[0], found[3] - found[1]] if found else None
    if box is None:
        if mask_box:
            return mask_box, "bbox missing, null or not four numbers: from the mask", ""
        return None, "", "field 'bbox' is missing or not four numbers, and there is no mask to take it from: add it"
    if min(box[2:]) > 0:
        return box, "", ""
    if min(box[2:]) == 0:  # no box at all, as an exporter leaves it that did not compute it
        return (mask_box, "bbox without width or height: from the mask", "") if mask_box else (box, "", "")
    turned = [min(box[0], box[0] + box[2]), min(box[1], box[1] + box[3]), abs(box[2]), abs(box[3])]
    if found and _near([turned[0], turned[1], turned[0] + turned[2], turned[1] + turned[3]], found):
        return turned, "bbox with a negative width or height that the mask confirms: from the other corner", ""
    text = f"field 'bbox' is {box}: either it was drawn to the left or upwards, or the sign is wrong: correct it"
    return box, "", text


def box_beside_mask(box: list[Any], segmentation: Any, size: tuple[int, int]) -> str:
    """The complaint about a box far from the box of its mask; "" where it fits."""
    wanted = extent(segmentation, size)
    if wanted is None or min(box[2:]) <= 0:
        return ""
    height, width = size
    edges = max(box[0], 0), max(box[1], 0), min(box[0] + box[2], width), min(box[1] + box[3], height)
    side = max(wanted[2] - wanted[0], wanted[3] - wanted[1])
    if max(abs(a - b) for a, b in zip(edges, wanted)) <= max(FAR, FAR_SHARE * side):
        return ""
    mask_box = [round(v, 2) for v in (wanted[0], wanted[1], wanted[2] - wanted[0], wanted[3] - wanted[1])]
    text = f"field 'bbox' is {box}, the mask's box is {mask_box}: either of the two is wrong: correct it, or take "
    return f"{text}bbox out, to have it from the mask"


def mend_area(value: Any, box: list[Any] | None, segmentation: Any, size: tuple[int, int] | None) -> tuple[Any, str]:
    """The area and the kind of change ("": none). A number that can be read stays, whatever the mask says."""
    found = number(value)
    if found is not None and found > 0:
        return (value, "") if not isinstance(value, str) else (found, "area as text: the number")
    if segmentation is not None and size is not None:
        pixels = area(segmentation, size)
        return (
            (value, "") if as_written(value, pixels) else (pixels, "area missing, null, or not above 0: from the mask")
        )
    if box is not None and min(box[2:]) > 0:
        return box[2] * box[3], "area missing, null, or not above 0: from the box"
    return value, ""


def _near(corners: Sequence[float], wanted: Sequence[float]) -> bool:
    return max(abs(a - b) for a, b in zip(corners, wanted)) <= CLOSE + 0.01 * max(
        wanted[2] - wanted[0], wanted[3] - wanted[1]
    )
