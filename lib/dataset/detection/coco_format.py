"""What a COCO json must hold, checked before anything else touches it.

The C code of pycocotools trusts run-length codes: a wrong one reads or writes outside its memory. So every
record is checked here, and every complaint names the record, the field and what is wrong with it.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from numbers import Real
from typing import Any, Callable, Iterable

import numpy as np

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import max_pixels


@dataclass(frozen=True)
class Problem:
    """One complaint: `record` is for example `annotation 12`; a fatal one bars the data set from use."""

    record: str
    text: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.record}: {self.text}"


class RLEError(ValueError):
    """A run-length code that does not describe a mask of its size."""


def read_json(path: str) -> dict[str, Any]:
    """The object in an annotation file, its records unchecked. Raises DatasetError naming the file."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such annotation file: check dataset_path and image_set") from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a JSON file ({error}): export it again") from error
    if not isinstance(data, dict):
        raise DatasetError(f"{path}: not an object with images, annotations and categories")
    for key in ("images", "categories", "annotations"):
        if not isinstance(data.setdefault(key, [] if key == "annotations" else None), list):
            raise DatasetError(f"{path}: field {key!r} is missing or not a list: is it a COCO file?")
    return data


def find_problems(data: dict[str, Any], masks: bool = True) -> list[Problem]:
    """Everything wrong with the records of a COCO object whose three lists exist.

    Without `masks` nobody looks at `segmentation`, and no record needs one.
    """
    problems = _check_list("image", data["images"], _image_problems)
    problems += _check_list("category", data["categories"], _category_problems)
    if problems:
        return problems  # annotations refer to both lists
    names = [category["name"] for category in data["categories"]]
    problems += [
        Problem(f"category {c['id']}", f"name {c['name']!r} is used twice: rename one")
        for i, c in enumerate(data["categories"])
        if c["name"] in names[:i]
    ]
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    return problems + _check_list(
        "annotation", data["annotations"], lambda record: _annotation_problems(record, sizes, categories, masks)
    )


def _check_list(kind: str, records: list[Any], check: Callable[[Any], Iterable[tuple[str, bool]]]) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[Any] = set()
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            problems.append(Problem(f"{kind} number {index}", f"is {type(record).__name__}, not an object"))
            continue
        key = record.get("id")
        if not _is_id(key):
            problems.append(Problem(f"{kind} number {index}", f"field 'id' is {key!r}: number them"))
            continue
        if key in seen:
            problems.append(Problem(f"{kind} {key}", f"id {key} is used twice: give each {kind} its own"))
        seen.add(key)
        problems += [Problem(f"{kind} {key}", text, fatal) for text, fatal in check(record)]
    return problems


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _image_problems(image: dict[str, Any]) -> Iterable[tuple[str, bool]]:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        yield f"field 'file_name' is {name!r}: give the image file", True
    elif os.path.isabs(name) or ".." in name.replace("\\", "/").split("/"):
        yield f"field 'file_name' is {name!r}: make it relative to the image folder, without ..", True
    size: list[Any] = [image.get("height"), image.get("width")]
    for field, value in zip(("height", "width"), size):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield f"field {field!r} is {value!r}: give the {field} of the file in pixels", True
            return
    if size[0] * size[1] > max_pixels():
        yield f"height x width is {size[0]} x {size[1]}, over the limit of {max_pixels()} pixels", True


def _category_problems(category: dict[str, Any]) -> Iterable[tuple[str, bool]]:
    if not isinstance(category.get("name"), str) or not category["name"]:
        yield f"field 'name' is {category.get('name')!r}: give the class a name", True


def _annotation_problems(record: dict, sizes: dict, categories: set, masks: bool) -> Iterable[tuple[str, bool]]:
    needed = ("image_id", "category_id", "bbox", *(["segmentation"] if masks else []))
    missing = [field for field in needed if field not in record]
    if missing:
        yield f"fields missing: {', '.join(missing)}: add them", True
        return
    if not _is_id(record["category_id"]) or record["category_id"] not in categories:
        yield f"field 'category_id' is {record['category_id']!r}, not one of categories: correct it", True
    if record.get("iscrowd", 0) not in (0, 1):
        yield f"field 'iscrowd' is {record['iscrowd']!r}: make it 0 or 1", True
    if not _is_number(record.get("area", 1)):
        yield f"field 'area' is {record['area']!r}: give the area of the mask in pixels", True
    if not _is_id(record["image_id"]) or record["image_id"] not in sizes:
        yield f"field 'image_id' is {record['image_id']!r}, not one of images: correct it", True
        return
    size = sizes[record["image_id"]]
    yield from _box_problems(record, size)
    if masks:
        yield from _segmentation_problems(record["segmentation"], size)


def _box_problems(record: dict, size: tuple[int, int]) -> Iterable[tuple[str, bool]]:
    box = record["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        yield f"field 'bbox' is {box!r}: give x, y, width, height", True
    elif not is_crowd(record) and _is_number(record.get("area", 1)) and not is_usable(record, size):
        outside = f"has bbox {box} outside the {size[1]} x {size[0]} image"
        yield f"{'has no area' if record.get('area', 1) <= 0 else outside} and is left out", False


def _segmentation_problems(value: Any, size: tuple[int, int]) -> Iterable[tuple[str, bool]]:
    if isinstance(value, dict):
        try:
            run_lengths(value, size)
        except RLEError as error:
            yield f"field 'segmentation': {error}", True
        return
    if not isinstance(value, list) or not value:
        text = "is empty" if value == [] else f"is {type(value).__name__}"
        yield f"field 'segmentation' {text}: give polygons or a run-length code, masks are needed", True
        return
    for part in value:
        if not isinstance(part, list) or len(part) % 2 or not all(map(_is_number, part)):
            yield (
                f"field 'segmentation': polygon {str(part)[:60]} is not x1, y1, x2, y2, ... in numbers",
                True,
            )
    if not any(isinstance(part, list) and len(part) >= 6 for part in value):
        yield "field 'segmentation': no polygon has three points: draw it again", True
    elif any(isinstance(part, list) and len(part) < 6 for part in value):
        yield "field 'segmentation': a polygon of fewer than three points is left out", False


def clip_box(bbox: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """COCO x, y, width, height -> x1, y1, x2, y2 with inclusive ends, inside an image of `size` (h, w).

    The original's rule, which moves a box that starts left of or above the image instead of cutting it.
    """
    x, y, width, height = bbox
    x1, y1 = max(0.0, x), max(0.0, y)
    return x1, y1, min(size[1] - 1.0, x1 + max(0.0, width - 1)), min(size[0] - 1.0, y1 + max(0.0, height - 1))


def is_crowd(record: dict[str, Any]) -> bool:
    """Whether an annotation marks a group; without the field it is a single object."""
    return bool(record.get("iscrowd", 0))


def is_usable(record: dict[str, Any], size: tuple[int, int]) -> bool:
    """Whether an annotation is trained on: a single object with area and a box inside the image."""
    x1, y1, x2, y2 = clip_box(record["bbox"], size)
    return not is_crowd(record) and record.get("area", 1) > 0 and x2 >= x1 and y2 >= y1


def run_lengths(code: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Runs (k,) int64 of a COCO run-length code, plain or compressed, of an image of `size` (h, w).

    Raises RLEError unless they describe exactly that many pixels.
    """
    if code.get("size") != list(size):
        raise RLEError(f"size {code.get('size')!r} is not the image's [height, width] {list(size)}")
    counts = code.get("counts")
    if isinstance(counts, (str, bytes)):
        runs = _decompress(counts)
    elif isinstance(counts, list) and all(isinstance(n, int) and 0 <= n <= size[0] * size[1] for n in counts):
        runs = np.array(counts, np.int64)
    else:
        raise RLEError("counts must be a list of numbers >= 0 within the image, or a compressed string")
    if np.any(runs < 0) or runs.sum() != size[0] * size[1]:
        raise RLEError(f"counts sum to {runs.sum()}, or are negative; height x width is {size[0] * size[1]}")
    return runs


def _decompress(text: str | bytes) -> np.ndarray:
    """Run lengths of COCO's compressed code.

    A number has 5 bits per character from chr(48) on, bit 5 says that more follow; from the fourth run on,
    numbers are differences to the run two before.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 0x20) == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not len(ends) or ends[-1] != len(codes) - 1:
        raise RLEError("counts is not a compressed run-length string: cut off, or foreign characters")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise RLEError("counts holds a run longer than any image")
    digit = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 0x1F) << (5 * digit), starts)
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    runs = values.copy()
    runs[1::2], runs[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return runs
