"""Reads a COCO json leniently, once, and writes what strict reading takes.

Decided is only what has one right reading; every kind of change is listed. What has two stays as it is in the new
file, is named with both, and keeps it from being used.
"""

from __future__ import annotations

import json
import os
from typing import Any

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.tools.coco_fix.annotations import Annotations
from fullconv.lib.tools.coco_fix.categories import Categories
from fullconv.lib.tools.coco_fix.images import Images
from fullconv.lib.tools.coco_fix.ledger import Ledger
from fullconv.lib.tools.coco_fix.pictures import Pictures
from fullconv.lib.tools.coco_fix.values import as_id, without_nan
from fullconv.lib.tools.data_forms import Found, of_json
from fullconv.lib.utils import atomic


def fix_file(source: Found, out: str) -> Ledger:
    """Writes `out`, a json whose folder (or the one above `annotations`) has the images, as a whole or not at all.

    Raises DatasetError: the input is no COCO json, `out` is the input or not in the folder of the images. OSError: it
    cannot be written.
    """
    if not source.file:
        raise DatasetError(f"{source.path}: --fix is for COCO jsons, this is {source.dataset}")
    if os.path.exists(out) and os.path.samefile(out, source.file):
        raise DatasetError(f"--fix {out} is the input: name another file, it is not changed in place")
    if not out.endswith(".json"):
        raise DatasetError(f"--fix {out}: name the file to be written <set>.json")
    ledger = Ledger()
    data = fix(read_leniently(source.file), Pictures(source, of_json(out)), ledger)
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    atomic.write_text(out, json.dumps(data, allow_nan=False) + "\n")
    return ledger


def fix(data: dict[str, Any], pictures: Pictures, ledger: Ledger) -> dict[str, Any]:
    """The clean object; changes and what could not be decided go to the ledger. `data` is not changed."""
    raw = data["annotations"]
    used = {as_id(record.get("category_id")) for record in raw if isinstance(record, dict)}
    images = Images(data["images"], pictures, ledger)
    categories = Categories(data["categories"], used, ledger)
    annotations = Annotations(raw, images, categories, ledger)
    lists = {"images": images.records, "categories": categories.records, "annotations": annotations.records}
    return without_nan({**data, **lists})


def read_leniently(path: str) -> dict[str, Any]:
    """The object in a json whose three lists exist, annotations perhaps empty. Raises DatasetError naming the file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            data = json.load(file)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a JSON file ({error}): export it again") from error
    if not isinstance(data, dict):
        raise DatasetError(f"{path}: not an object with images, annotations and categories")
    if data.get("annotations") is None:
        data["annotations"] = []
    for key in ("images", "categories", "annotations"):
        if not isinstance(data.get(key), list):
            raise DatasetError(f"{path}: field {key!r} is missing or not a list: is it a COCO file?")
    return data
