"""What is wrong with the boxes of a COCO file taken together: single records that are sound may still be in another
unit, or boxes of another form than their masks."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Mapping, Sequence

from fullconv.lib.dataset.detection.box_and_mask import CLOSE, Extent, Mismatch, Size, mask_extent, mismatch
from fullconv.lib.dataset.detection.problem import Problem

Records = Sequence[Mapping[str, Any]]
_REMEDY = "write x, y, width, height in pixels"
_MANY = 10  # objects from which on their lying in one corner of every image is no chance


def find_box_problems(annotations: Records, sizes: Mapping[Any, Size], masks: bool) -> list[Problem]:
    """Boxes that are not their masks' boxes, or a whole file in shares or percent.

    annotations: sound records of single objects, with `bbox`, and with `segmentation` when `masks` is True. sizes:
    (height, width) by image id.
    """
    unit = _unit(annotations, sizes, masks)
    if unit:
        return [Problem("annotations", f"all coordinates are {unit}: {_REMEDY}")]
    if not masks:
        return list(_without_masks(annotations, sizes))
    found = [mismatch(record["bbox"], record["segmentation"], sizes[record["image_id"]]) for record in annotations]
    kinds = Counter(one.kind for one in found if one)
    usual = {kind for kind, count in kinds.items() if 2 * count > len(annotations)}
    return list(_complaints(annotations, found, usual))


def _without_masks(annotations: Records, sizes: Mapping[Any, Size]) -> Iterator[Problem]:
    """What boxes alone tell: negative sides, and corners, which read as width and height reach out of the image."""
    for record in annotations:
        if min(record["bbox"][2:]) < 0:
            yield Problem(f"annotation {record['id']}", f"field 'bbox' {record['bbox']} has a negative side: {_REMEDY}")
    outside = ordered = 0
    for record in annotations:
        (x, y, width, height), size = record["bbox"], sizes[record["image_id"]]
        outside += x + width > size[1] + CLOSE or y + height > size[0] + CLOSE
        ordered += x <= width <= size[1] + CLOSE and y <= height <= size[0] + CLOSE
    if annotations and 4 * outside > len(annotations) and ordered == len(annotations):
        first = annotations[0]
        yield Problem(
            f"annotation {first['id']}", f"field 'bbox' {first['bbox']} and all others are x1, y1, x2, y2: {_REMEDY}"
        )


def _complaints(annotations: Records, found: Sequence[Mismatch | None], usual: set[str]) -> Iterator[Problem]:
    """A box far from its mask is named, one of a known form bars the set; a near one counts if most are like it."""
    for record, one in zip(annotations, found):
        if one is None or not (one.clear or (one.kind and one.kind in usual)):
            continue
        # A box that fits no form may be drawn around what is hidden, too: it bars the set only if most are like it.
        fatal = bool(one.kind) or one.kind in usual
        box = [round(value, 2) for value in one.box]
        kind = one.kind or f"up to {one.distance:.0f} pixels off the box of its mask"
        remedy = f"{_REMEDY}, here {box}, or leave bbox out: it is then taken from the mask"
        if kind.startswith("right, "):
            kind, remedy = kind[len("right, ") :], f"export it again; bbox {record['bbox']} does not fit the mask"
            yield Problem(
                f"annotation {record['id']}", f"field 'segmentation': {kind.replace('but ', '', 1)}: {remedy}"
            )
        else:
            yield Problem(f"annotation {record['id']}", f"field 'bbox' {record['bbox']} is {kind}: {remedy}", fatal)


def _unit(annotations: Records, sizes: Mapping[Any, Size], masks: bool) -> str:
    """What the coordinates of all objects are, if not pixels; "" for pixels.

    Percent of few objects may as well be pixels of the upper left corner. Then the areas tell, if they are stated:
    in pixels no object is larger than its box.
    """
    extents = [e for e in (_extent(record, sizes[record["image_id"]], masks) for record in annotations) if e]
    smallest = min((min(sizes[record["image_id"]]) for record in annotations), default=0)
    if not extents or min(min(extent) for extent in extents) < 0:
        return ""
    reach = max(max(extent) for extent in extents)
    if reach <= 1 < smallest and any(value % 1 for extent in extents for value in extent):
        return "shares of the image's sides, 0 to 1"
    if reach > 100 or smallest < 200:
        return ""
    too_large = [
        record.get("area", 0) > 1.2 * (e[2] - e[0]) * (e[3] - e[1]) + 1 for record, e in zip(annotations, extents)
    ]
    many = len(extents) >= _MANY and reach > 80 and smallest >= 400
    return "percent of the image's sides, 0 to 100" if many or 2 * sum(too_large) > len(too_large) else ""


def _extent(record: Mapping[str, Any], size: Size, masks: bool) -> Extent | None:
    """Around box and polygons; a run-length code is in pixels by its nature, so that its box alone counts."""
    x, y, width, height = record["bbox"]
    box = float(x), float(y), float(x + width), float(y + height)
    mask = mask_extent(record["segmentation"], size) if masks else None
    if masks and (mask is None or isinstance(record["segmentation"], dict)):
        return None
    if mask is None:
        return box
    return min(box[0], mask[0]), min(box[1], mask[1]), max(box[2], mask[2]), max(box[3], mask[3])
