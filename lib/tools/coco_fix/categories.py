"""The categories of a COCO json: ids, names, and those that are no class."""

from __future__ import annotations

from typing import Any

from fullconv.lib.dataset.background import is_background
from fullconv.lib.tools.coco_fix.ledger import Ledger
from fullconv.lib.tools.coco_fix.values import as_id, as_written, number


class Categories:
    """The clean records; ids: id as written, in the form of `as_id` -> the id it has now."""

    def __init__(self, raw: list[Any], used: set[int | str | None], ledger: Ledger) -> None:
        self.ledger = ledger
        self.records: list[Any] = []
        self.ids: dict[int | str, int] = {}
        keys = [as_id(record.get("id")) if isinstance(record, dict) else None for record in raw]
        self._numbers = self._number_texts(keys)
        parents = {str(record.get("supercategory")) for record in raw if isinstance(record, dict)}
        for index, (record, key) in enumerate(zip(raw, keys)):
            if key is None:
                ledger.leave(f"category number {index}", "has no id that annotations could refer to: give it one")
                self.records.append(record)
            elif key not in used and _is_no_class(record, key, parents):
                text = "category without annotations that is the background or the heading of the others: left out"
                ledger.change(text, f"category {key}")
            else:
                self._add({**record, "id": self._numbers.get(key, key)}, key, record["id"])
        self._find_equal_names()

    def _number_texts(self, keys: list[int | str | None]) -> dict[int | str, int]:
        """Numbers for ids that are words, in the order of the file, behind those that are numbers."""
        first = max([key for key in keys if isinstance(key, int)], default=0) + 1
        texts = list(dict.fromkeys(key for key in keys if isinstance(key, str)))
        return {key: first + index for index, key in enumerate(texts)}

    def _add(self, record: dict[str, Any], key: int | str, written: Any) -> None:
        label, new = f"category {key}", record["id"]
        if not isinstance(record.get("name"), str) and number(record.get("name")) is not None:
            record["name"] = str(record["name"])
            self.ledger.change("category name as a number: the same as text", label)
        if key in self.ids:
            before = next(other for other in self.records if isinstance(other, dict) and other.get("id") == new)
            if before.get("name") == record.get("name"):
                self.ledger.change("category listed twice: once", label)
                return
            text = f"is {before.get('name')!r} and also {record.get('name')!r}: which one do its annotations mean? "
            self.ledger.leave(label, f"{text}Give the other one an id of its own")
        elif isinstance(key, str):
            self.ledger.change("category id that is a word: numbered in the order of the file", f"{label} -> {new}")
        elif not as_written(written, key):
            self.ledger.change("category id as text or with a fraction: the whole number", label)
        if not isinstance(record.get("name"), str) or not record["name"]:
            self.ledger.leave(label, f"field 'name' is {record.get('name')!r}: give the class a name")
        self.ids[key] = new
        self.records.append(record)

    def _find_equal_names(self) -> None:
        first: dict[str, Any] = {}
        for record in self.records:
            name = record.get("name") if isinstance(record, dict) and as_id(record.get("id")) is not None else None
            if isinstance(name, str) and first.setdefault(name, record["id"]) != record["id"]:
                text = f"is called {name!r} as category {first[name]}: one class or two? Rename one, or give their "
                self.ledger.leave(f"category {record['id']}", f"{text}annotations one id")


def _is_no_class(record: dict[str, Any], key: int | str, parents: set[str]) -> bool:
    """Roboflow's category 0, which the others have as supercategory, and the background of other tools."""
    name = record.get("name")
    return isinstance(name, str) and (is_background(name) or (key == 0 and name in parents))
