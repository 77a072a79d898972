"""The images of a COCO json: ids, names, sizes, and those that are listed twice."""

from __future__ import annotations

import os
from typing import Any, Container

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import ImageError, image_size
from fullconv.lib.tools.coco_fix.ledger import Ledger
from fullconv.lib.tools.coco_fix.pictures import Pictures, name_trouble
from fullconv.lib.tools.coco_fix.values import as_id, as_written, whole


class Images:
    """The clean records, and what annotations need to know of them.

    records: to be written. sizes: id -> (height, width), where it is known. joined: id that is no longer there -> the
    id of the same picture.
    """

    def __init__(self, raw: list[Any], pictures: Pictures, ledger: Ledger) -> None:
        self.pictures, self.ledger = pictures, ledger
        self.records: list[Any] = []
        self.sizes: dict[int | str, tuple[int, int]] = {}
        self.joined: dict[int | str, int | str] = {}
        self._files: dict[int | str, str] = {}
        self._owner: dict[str, int | str] = {}
        for index, record in enumerate(raw):
            self._add(index, record)

    @property
    def ids(self) -> Container[int | str]:
        """Ids that annotations may have, those of pictures listed twice included."""
        return self._files

    def _add(self, index: int, raw: Any) -> None:
        key = as_id(raw.get("id")) if isinstance(raw, dict) else None
        if key is None:
            self.ledger.leave(f"image number {index}", "has no id that annotations could refer to: give it one")
            self.records.append(raw)
            return
        record, label = {**raw, "id": key}, f"image {key}"
        if not as_written(raw["id"], key):
            self.ledger.change("image id as text or with a fraction: the whole number", label)
        file = self._name(record, label)
        if key in self._files:
            self._again(record, label, file)
            return
        self._files[key] = file
        if file in self._owner:
            self.joined[key] = self._owner[file]
            text = "image listed under two ids: one is left, with the annotations of both"
            self.ledger.change(text, f"{label} = image {self._owner[file]}")
            return
        self._owner[file] = key
        self._size(record, label, file)
        self.records.append(record)

    def _again(self, record: dict[str, Any], label: str, file: str) -> None:
        if file == self._files[record["id"]]:
            self.ledger.change("image listed twice: once", label)
            return
        text = f"is {self._files[record['id']]} and also {file}: its annotations belong to one of the two, which one? "
        self.ledger.leave(label, f"{text}Give the other image and its annotations an id of their own")
        self.records.append(record)

    def _name(self, record: dict[str, Any], label: str) -> str:
        """Puts a name into the record that the reader finds; returns the file, or where there is none the name."""
        name = record.get("file_name")
        if not isinstance(name, str) or not name:
            self.ledger.leave(label, f"field 'file_name' is {name!r}: give the image file")
            return label
        files = self.pictures.find(name, record["id"])
        if len(files) != 1:
            several = f"may be {' or '.join(files[:4])}: write which one" if files else ""
            gone = f"no such picture is below {self.pictures.source.path}: add it, or take the image out"
            self.ledger.leave(label, f"field 'file_name' is {name!r}: {several or gone}")
            return name
        new = self.pictures.name_of(files[0], name, record["id"])
        if new is None:
            source = self.pictures.source
            raise DatasetError(
                f"{files[0]} is not found from {self.pictures.target.file}: write the new json into the folder of the "
                f"images, for example as {source.path}/annotations/{source.image_set}_fixed.json"
            )
        if new != name:
            record["file_name"] = new
            self.ledger.change(name_trouble(name, new), label)
        return files[0]

    def _size(self, record: dict[str, Any], label: str, file: str) -> None:
        if not os.path.isfile(file):
            return  # the complaint about the name says so
        stated = [whole(record.get(key)) for key in ("height", "width")]
        known = [value for value in stated if value]
        try:
            real = image_size(file)
        except ImageError as error:
            self.ledger.leave(label, str(error))
            return
        wrong = [value for value, side in zip(stated, real) if value and value != side]
        if wrong:
            self._disagree(label, stated, real)
            return
        if len(known) < 2:
            self.ledger.change("size missing, null or 0: from the header of the image", label)
        elif not all(as_written(record[key], side) for key, side in zip(("height", "width"), real)):
            self.ledger.change("size as text or with a fraction: the whole number", label)
        record["height"], record["width"] = real
        self.sizes[record["id"]] = real

    def _disagree(self, label: str, stated: list[int | None], real: tuple[int, int]) -> None:
        text = f"height x width is {stated[0]} x {stated[1]}, the file has {real[0]} x {real[1]}: either "
        if stated == list(reversed(real)):
            text += "the two numbers are exchanged, or the picture was turned after it was annotated: correct the "
        else:
            text += "the numbers are wrong, or the picture was resized after it was annotated: correct the "
        self.ledger.leave(label, f"{text}numbers, or bring back the picture")
