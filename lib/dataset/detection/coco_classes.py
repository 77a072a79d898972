"""Categories of a COCO file that are no classes of objects: the background, labelme's `__ignore__`, Roboflow's root."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fullconv.lib.dataset.background import is_background, is_ignored


def no_classes(data: dict[str, Any]) -> dict[Any, str]:
    """Id -> what is done with it, of the categories that are left out of the class list, with their annotations.

    data: images, annotations and sound categories. Roboflow writes the name of the project as category 0, above all
    others; with it a network would have a class without a single object.
    """
    used = Counter(_category(record) for record in data["annotations"])
    result = {}
    for category in data["categories"]:
        key, name = category["id"], category["name"]
        if is_background(name) or is_ignored(name):
            what = "means the background" if is_background(name) else "means no label"
            result[key] = f"category {key!r} ({name!r}) {what}; it is left out with its {used[key]} annotations"
        elif not used[key] and _is_root(category, data["categories"]):
            result[key] = f"category {key!r} ({name!r}) is above all others and has no annotation; it is left out"
    return result


def _category(record: Any) -> Any:
    key = record.get("category_id") if isinstance(record, dict) else None
    return key if isinstance(key, (int, str)) else None


def _is_root(category: dict[str, Any], categories: list[dict[str, Any]]) -> bool:
    others = [one for one in categories if one is not category]
    return bool(others) and all(one.get("supercategory") == category["name"] for one in others)
