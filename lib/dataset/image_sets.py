"""Named lists of images: what `train+val[:20]` means, for data sets of objects and of labels per pixel."""

from __future__ import annotations

import bisect
import posixpath
import re
from typing import Any, Callable, Generic, Sequence, TypeVar

from fullconv.lib.dataset.errors import DatasetError

Part = TypeVar("Part", bound="ImageSet")


class ImageSet:
    """Images in a fixed order.

    name: of this set, in file names, so without a slash. image_ids: in list order. limit: keep the first images only,
    which the name says.
    """

    def __init__(self, name: str, image_ids: Sequence[Any], limit: int | None = None) -> None:
        self.image_ids = list(image_ids)[:limit]
        name = name.replace("/", "_")
        self.name = f"{name}_first{limit}" if limit else name

    def __len__(self) -> int:
        return len(self.image_ids)


class Parts(Generic[Part]):
    """Several sets, one after the other, and where an image of the whole is among them."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.name = "+".join(part.name for part in parts)
        self.image_ids = [image_id for part in parts for image_id in part.image_ids]
        self._starts = [0]
        for part in parts:
            self._starts.append(self._starts[-1] + len(part))

    def at(self, index: int) -> tuple[Part, int]:
        """The part that has image `index` (from the end when negative), and the image's place in it. IndexError."""
        index = range(self._starts[-1])[index]
        part = bisect.bisect_right(self._starts, index) - 1
        return self.parts[part], index - self._starts[part]


def unique_ids(names: Sequence[str]) -> list[str]:
    """Names that files can be stored under: all of them numbered, behind their folder, when two are equal.

    Predictions, pictures and converted labels are called after ids, so equal ones would overwrite each other.
    """
    if len(set(names)) == len(names):
        return list(names)
    split = [posixpath.split(name) for name in names]
    return [posixpath.join(folder, f"{index:06d}_{name}") for index, (folder, name) in enumerate(split)]


def check_ids(name: str, ids: Sequence[str]) -> None:
    """DatasetError for an id that leads out of the folder that files are stored in under it; folders in it are fine."""
    for image_id in ids:
        if posixpath.isabs(image_id) or ".." in image_id.split("/"):
            raise DatasetError(f"{name}: image id {image_id!r} must be relative, without ..: correct the list")


def parse_image_set(image_set: str) -> list[tuple[str, int | None]]:
    """`"train+val[:12]"` -> `[("train", None), ("val", 12)]`; `[:n]` keeps the first n images."""
    parts = []
    for text in image_set.split("+"):
        match = re.fullmatch(r"\s*([^\[\]+]+?)\s*(?:\[:(\d+)\])?\s*", text)
        limit = int(match.group(2)) if match and match.group(2) else None
        if match is None or limit == 0:
            raise DatasetError(
                f"image_set {image_set!r}: {text!r} is neither `name` nor `name[:n]`, its first n images"
            )
        parts.append((match.group(1), limit))
    return parts


def read_parts(image_set: str, read: Callable[[str, int | None], Part], join: Callable[[Sequence[Part]], Part]) -> Part:
    """The set that `image_set` names, each part made by `read(name, limit)`; several are put together by `join`."""
    parts = [read(name, limit) for name, limit in parse_image_set(image_set)]
    return parts[0] if len(parts) == 1 else join(parts)
