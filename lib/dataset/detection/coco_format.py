"""What a COCO json must hold, checked before anything else touches it.

Every complaint names the record, the field and what is wrong with it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Callable, Iterable

from fullconv.lib.dataset.detection.box_and_mask import mask_box
from fullconv.lib.dataset.detection.box_problems import find_box_problems
from fullconv.lib.dataset.detection.coco_classes import no_classes
from fullconv.lib.dataset.detection.problem import Problem
from fullconv.lib.dataset.detection.run_lengths import RLEError, run_lengths
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import max_pixels
from fullconv.lib.dataset.text_files import read_text

MAX_SHORT, LEAST_LETTERS = 200_000, 12
"""Objects and lists that a file may have besides one for so many letters. An annotation with its mask takes four
and some 120 letters; one that is empty takes up to 200 bytes of memory."""
MAX_PROBLEMS = 10_000


def read_json(path: str) -> dict[str, Any]:
    """The object in an annotation file, its records unchecked. Raises DatasetError naming the file."""
    text = read_text(path, "annotation file")
    if text.count("{") + text.count("[") > MAX_SHORT + len(text) // LEAST_LETTERS:
        raise DatasetError(f"{path}: nearly nothing but brackets, which takes much memory: export it again")
    try:
        data = json.loads(text)
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
    problems += [*_mixed("images", data["images"]), *_mixed("categories", data["categories"])]
    if problems:
        return problems  # annotations refer to both lists
    problems += _name_problems(data)
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    found = _check_list(
        "annotation", data["annotations"], lambda record: _annotation_problems(record, sizes, categories, masks)
    )
    return problems + found + find_box_problems(_sound(data["annotations"], found, sizes), sizes, masks)


def find_contradictions(data: dict[str, Any]) -> list[Problem]:
    """Boxes of a sound file that are not those of their masks, for who learns the boxes alone.

    They bar the set only where most are written in another form: single masks may be what is wrong.
    """
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    unusable = _check_list(
        "annotation", data["annotations"], lambda record: _annotation_problems(record, sizes, categories, True)
    )
    with_masks = _sound(data["annotations"], unusable, sizes)
    found = [p for p in find_box_problems(with_masks, sizes, True) if p.text.startswith("field 'bbox'")]
    most = 2 * sum(problem.fatal for problem in found) > len(with_masks)
    return [replace(problem, fatal=problem.fatal and most) for problem in found]


def _name_problems(data: dict[str, Any]) -> Iterable[Problem]:
    """Of the names of classes taken together."""
    left_out = no_classes(data)
    names: set[str] = set()
    for category in data["categories"]:
        if category["id"] in left_out:
            continue
        if category["name"] in names:
            yield Problem(f"category {category['id']}", f"name {category['name']!r} is used twice: rename one")
        names.add(category["name"])
    if not names:
        yield Problem("categories", "there is no class of objects among them: add one")


def _sound(annotations: list[Any], problems: list[Problem], sizes: dict) -> list[dict[str, Any]]:
    """The single objects that nothing bars from use, each with its box."""
    broken = {problem.record for problem in problems if problem.fatal}
    records = [record for record in annotations if isinstance(record, dict) and _is_id(record.get("id"))]
    single = [r for r in records if f"annotation {r['id']}" not in broken and not is_crowd(r)]
    return [with_box(record, sizes[record["image_id"]]) for record in single]


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
        if len(problems) > MAX_PROBLEMS:
            return [*problems, Problem(f"{kind} number {index}", "is the last that was looked at: too many are wrong")]
    return problems


def _mixed(what: str, records: list[Any]) -> Iterable[Problem]:
    """Numbers and text among the ids: they have no order, and whether 1 is "1" nobody can tell."""
    ids = [record.get("id") for record in records if isinstance(record, dict)]
    texts, numbers = [i for i in ids if isinstance(i, str)], [i for i in ids if isinstance(i, int)]
    if texts and numbers:
        yield Problem(
            what, f"ids are both numbers and text, as {numbers[0]!r} and {texts[0]!r}: make all of them numbers"
        )


def in_order(ids: Iterable[int | str]) -> list[int | str]:
    """Ids of one type, ascending: numbers and texts of digits by value, other texts by their letters."""
    known = list(ids)
    by_value = all(not isinstance(i, str) or i.isdecimal() for i in known)
    return sorted(known, key=lambda i: (int(i), str(i))) if by_value else sorted(known, key=str)


def _unknown(value: Any, known: Iterable[Any], field: str, of: str) -> str:
    """The complaint about a reference to a record that does not exist."""
    hint = f", whose ids are {'numbers' if isinstance(value, str) else 'text'}" if str(value) in map(str, known) else ""
    return f"field {field!r} is {value!r}, not one of {of}{hint}: correct it"


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # The comparison is False for what is not finite, and takes whole numbers too long for a float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


def _image_problems(image: dict[str, Any]) -> Iterable[tuple[str, bool]]:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        yield f"field 'file_name' is {name!r}: give the image file", True
    elif ".." in name.replace("\\", "/").split("/"):
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
    needed = ["image_id", "category_id"]
    needed += ["segmentation"] if masks else []
    needed += [] if has_box(record) or "segmentation" in record else ["bbox"]
    missing = [field for field in needed if field == "bbox" or field not in record]
    if missing:
        yield f"fields missing: {', '.join(missing)}: add them", True
        return
    if not _is_id(record["category_id"]) or record["category_id"] not in categories:
        yield _unknown(record["category_id"], categories, "category_id", "categories"), True
    if record.get("iscrowd", 0) not in (0, 1):
        yield f"field 'iscrowd' is {record['iscrowd']!r}: make it 0 or 1", True
    if not _is_number(record.get("area", 1)):
        yield f"field 'area' is {record['area']!r}: give the area of the mask in pixels", True
    if not _is_id(record["image_id"]) or record["image_id"] not in sizes:
        yield _unknown(record["image_id"], sizes, "image_id", "images"), True
        return
    yield from _shape_problems(record, sizes[record["image_id"]], masks)


def _shape_problems(record: dict, size: tuple[int, int], masks: bool) -> Iterable[tuple[str, bool]]:
    """Of mask and box; a missing box is taken from the mask, which then has to be sound whether it is used or not."""
    found = list(_segmentation_problems(record["segmentation"], size)) if masks or not has_box(record) else []
    yield from found
    if has_box(record):
        yield from _box_problems(record, size)
    elif not any(fatal for _, fatal in found):
        box = mask_box(record["segmentation"], size)
        if box is None:
            yield "field 'bbox' is missing and the mask has no pixel in the image: remove the annotation", True
        else:
            yield from _box_problems({**record, "bbox": box}, size)


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


def has_box(record: dict[str, Any]) -> bool:
    """Whether an annotation states a box; null and an empty list count as none."""
    return record.get("bbox") not in (None, [])


def with_box(record: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """A checked annotation with its box, which is that of the mask where it states none."""
    return record if has_box(record) else {**record, "bbox": mask_box(record["segmentation"], size)}


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
    return not why_unusable(record, size)


def why_unusable(record: dict[str, Any], size: tuple[int, int]) -> str:
    """What keeps a checked annotation with a box from being trained on, with the remedy; "" for nothing."""
    x1, y1, x2, y2 = clip_box(record["bbox"], size)
    if is_crowd(record):
        return "are crowds, with iscrowd 1: make it 0 where they are single objects"
    if record.get("area", 1) <= 0:
        return "have area 0: write the area of the mask in pixels, or leave it out"
    return "" if x2 >= x1 and y2 >= y1 else "have a bbox outside the image: correct it"
