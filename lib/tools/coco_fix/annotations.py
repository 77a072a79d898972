"""The annotations of a COCO json: ids, what they refer to, masks, boxes."""

from __future__ import annotations

import json
from typing import Any

from fullconv.lib.tools.coco_fix.boxes import are_corners, box_beside_mask, mend_area, mend_box, read_box
from fullconv.lib.tools.coco_fix.categories import Categories
from fullconv.lib.tools.coco_fix.images import Images
from fullconv.lib.tools.coco_fix.ledger import Ledger
from fullconv.lib.tools.coco_fix.segmentation import mend
from fullconv.lib.tools.coco_fix.values import as_id, as_written, whole

CORNERS = "bbox as x1, y1, x2, y2, which all masks confirm: x, y, width, height"


class Annotations:
    """The clean records."""

    def __init__(self, raw: list[Any], images: Images, categories: Categories, ledger: Ledger) -> None:
        self.images, self.categories, self.ledger = images, categories, ledger
        self.records: list[Any] = []
        records = [record for record in raw if isinstance(record, dict)]
        self._masks = any(record.get("segmentation") not in (None, [], "", {}) for record in records)
        self._all_crowds = bool(records) and all(_flag(record.get("iscrowd")) == 1 for record in records)
        good: list[tuple[dict[str, Any], str]] = []
        for index, record in enumerate(raw):
            if not isinstance(record, dict):
                ledger.leave(f"annotation number {index}", f"is {type(record).__name__}, not an object")
                self.records.append(record)
                continue
            key = as_id(record.get("id"))
            label = f"annotation number {index}" if key is None else f"annotation {key}"
            new = {**record, "id": key}
            if key is not None and not as_written(record["id"], key):
                ledger.change("annotation id as text or with a fraction: the whole number", label)
            self._refer(new, label)
            self._crowd(new, label)
            if self._masks:
                self._segmentation(new, label)
            good.append((new, label))
        self._boxes(good)
        self._number(good)

    def _refer(self, record: dict[str, Any], label: str) -> None:
        """image_id and category_id."""
        image, category = as_id(record.get("image_id")), as_id(record.get("category_id"))
        if image is not None and self.images.joined.get(image, image) in self.images.ids:
            self._replace(record, "image_id", self.images.joined.get(image, image), label)
        else:
            self.ledger.leave(label, f"field 'image_id' is {record.get('image_id')!r}, not one of images: correct it")
        if category is not None and category in self.categories.ids:
            self._replace(record, "category_id", self.categories.ids[category], label)
        else:
            text = f"field 'category_id' is {record.get('category_id')!r}, not one of categories: correct it"
            self.ledger.leave(label, text)

    def _replace(self, record: dict[str, Any], field: str, value: int | str, label: str) -> None:
        if not as_written(record[field], value):
            record[field] = value
            self.ledger.change(f"{field} in another form than the id it means: that id", label)

    def _crowd(self, record: dict[str, Any], label: str) -> None:
        if "iscrowd" not in record:
            return
        flag = _flag(record["iscrowd"])
        if flag is None:
            self.ledger.leave(label, f"field 'iscrowd' is {record['iscrowd']!r}: a group (1) or one object (0)?")
        elif self._all_crowds:
            record["iscrowd"] = 0
            self.ledger.change("iscrowd 1 in every annotation of the file, so that none is an object: 0", label)
        elif not as_written(record["iscrowd"], flag):
            record["iscrowd"] = flag
            self.ledger.change("iscrowd as text, null, true or false: 0 or 1", label)

    def _segmentation(self, record: dict[str, Any], label: str) -> None:
        value, size = record.get("segmentation"), self._size(record)
        if value in (None, [], "", {}):
            text = (
                "has a box and no mask, others have one: either the mask got lost, or it never was drawn: draw it, or "
            )
            self.ledger.leave(label, f"{text}take the annotation out; a rectangle would be a wrong mask")
            return
        if size is None:
            return  # the complaint about the image says why
        mended = mend(value, size)
        if mended.wrong:
            self.ledger.leave(label, mended.wrong)
            return
        record["segmentation"] = mended.value
        for change in mended.changes:
            self.ledger.change(change, label)

    def _size(self, record: dict[str, Any]) -> tuple[int, int] | None:
        image = record.get("image_id")
        return self.images.sizes.get(image) if isinstance(image, (int, str)) else None

    def _boxes(self, good: list[tuple[dict[str, Any], str]]) -> None:
        """bbox and area, which a look at all of them precedes."""
        wrong = {problem.record for problem in self.ledger.undecided}
        boxes = [read_box(record.get("bbox")) for record, _ in good]
        sizes = [self._size(record) for record, _ in good]
        sound = [record["segmentation"] if self._masks and label not in wrong else None for record, label in good]
        complete = [
            (box.numbers, mask, size)
            for box, mask, size in zip(boxes, sound, sizes)
            if box.numbers is not None and mask is not None and size is not None
        ]
        corners = are_corners(complete)
        for (record, label), box, size, mask in zip(good, boxes, sizes, sound):
            if size is None:
                continue
            numbers = box.numbers
            if corners and numbers is not None:
                numbers = [*numbers[:2], numbers[2] - numbers[0], numbers[3] - numbers[1]]
                self.ledger.change(CORNERS, label)
            new, change, trouble = mend_box(numbers, mask, size)
            for kind in (box.change, change):
                if kind:
                    self.ledger.change(kind, label)
            if trouble and not (numbers is None and label in wrong):
                self.ledger.leave(label, trouble)
            if new is not None:
                record["bbox"] = new
            self._area(record, label, new, mask, size)
        self._compare(good, sound)

    def _compare(self, good: list[tuple[dict[str, Any], str]], sound: list[Any]) -> None:
        """Boxes far from their masks: an error where most are, else perhaps drawn around what is hidden, too."""
        texts = {}
        for (record, label), mask in zip(good, sound):
            size = self._size(record)
            if mask is not None and size is not None and isinstance(record.get("bbox"), list):
                texts[label] = box_beside_mask(record["bbox"], mask, size)
        wrong = {label: text for label, text in texts.items() if text}
        for label, text in wrong.items():
            self.ledger.leave(label, text, fatal=2 * len(wrong) > len(texts))

    def _area(self, record: dict[str, Any], label: str, box: Any, mask: Any, size: tuple[int, int]) -> None:
        value, change = mend_area(record.get("area"), box, mask, size)
        if change:
            record["area"] = value
            self.ledger.change(change, label)

    def _number(self, good: list[tuple[dict[str, Any], str]]) -> None:
        """Ids of their own for annotations without one and for the later ones of equal ids."""
        following = max([r["id"] for r, _ in good if isinstance(r["id"], int)], default=0) + 1
        contents: dict[Any, set[str]] = {}
        joined = set(self.images.joined.values())
        for record, label in good:
            content = json.dumps({k: v for k, v in record.items() if k != "id"}, sort_keys=True)
            # Of a picture under two ids, every object may have come twice, too, with numbers of its own.
            image = as_id(record.get("image_id"))
            place = ("image", image) if image in joined else None
            same = contents.get(record["id"], set()) if record["id"] is not None else set()
            if content in same or (place and content in contents.get(place, set())):
                self.ledger.change("annotation listed twice: once", label)
                continue
            if record["id"] is None or record["id"] in contents:
                kind = "annotation without an id" if record["id"] is None else "annotation id used twice"
                self.ledger.change(f"{kind}: a new number", f"{label} -> {following}")
                record["id"], following = following, following + 1
            for known in (record["id"], *([place] if place else [])):
                contents.setdefault(known, set()).add(content)
            self.records.append(record)


def _flag(value: Any) -> int | None:
    """0 or 1 from what means it; null is 0, as the field is optional."""
    if value is None or isinstance(value, bool):
        return int(bool(value))
    found = whole(value)
    return found if found in (0, 1) else None
