"""What every data set of objects offers: classes, and an entry per image."""

from __future__ import annotations

from typing import Any, List, Sequence

from fullconv.lib.dataset.background import BACKGROUND
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image_sets import ImageSet, Parts
from fullconv.lib.mask.mask_cache import MaskStore
from fullconv.lib.structures.entry import Entry


class DetectionSet(ImageSet):
    """A named set of images with boxes, and masks unless `has_masks` is False.

    classes: names, background first. image_ids: in the order of `entries()`. store: the masks of its images that were
    used last, which its entries share.
    """

    has_masks = True

    def __init__(self, name: str, classes: Sequence[str], image_ids: Sequence[Any], limit: int | None = None) -> None:
        super().__init__(name, image_ids, limit)
        self.classes = list(classes)
        self.store = MaskStore()
        self._entries: List[Entry] | None = None
        _check_classes(self.name, self.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)

    def entries(self) -> List[Entry]:
        """One entry per image, images without objects included; read once. Raises DatasetError or ImageError."""
        if self._entries is None:
            self._entries = [self.read_entry(index) for index in range(len(self))]
        return list(self._entries)

    def read_entry(self, index: int) -> Entry:
        """The entry of image_ids[index], read and checked afresh. Raises DatasetError or ImageError."""
        raise NotImplementedError

    def why_no_objects(self) -> str:
        """Why none of the images has an object, where that is so: the cause in the files, and the remedy."""
        return "there is none in its files"


class JoinedDetectionSet(DetectionSet):
    """Several sets of one class list, one after the other: what `set1+set2` in image_set means."""

    def __init__(self, parts: Sequence[DetectionSet]) -> None:
        joined, first = Parts(parts), parts[0]
        for part in parts[1:]:
            if part.classes != first.classes:
                raise DatasetError(
                    f"{first.name} and {part.name} cannot be joined: their classes differ "
                    f"({_difference(first.classes, part.classes)}); use sets with one category list"
                )
        super().__init__(joined.name, first.classes, joined.image_ids)
        self.parts, self._at = joined.parts, joined.at
        self.has_masks = all(part.has_masks for part in parts)
        for part in parts:
            part.store = self.store  # one limit of memory for all of them

    def entries(self) -> List[Entry]:
        """Those of the parts."""
        return [entry for part in self.parts for entry in part.entries()]

    def read_entry(self, index: int) -> Entry:
        """See DetectionSet."""
        part, place = self._at(index)
        return part.read_entry(place)

    def why_no_objects(self) -> str:
        """Those of the parts."""
        return "; ".join(f"{part.name}: {part.why_no_objects()}" for part in self.parts)


def entries_to_train_on(data: DetectionSet) -> List[Entry]:
    """Its entries with objects. Raises DatasetError, which says the cause, when there are none."""
    entries = data.entries()
    kept = with_objects(entries)
    if not kept:
        raise DatasetError(
            f"{data.name}: none of its {len(entries)} images has an object to train on: {data.why_no_objects()}. "
            "`python -m fullconv.lib.tools.check` lists what was found"
        )
    return kept


def with_mirrored(entries: Sequence[Entry]) -> List[Entry]:
    """The entries, then their mirror images in the same order (original section 5.1)."""
    return [*entries, *(entry.mirrored() for entry in entries)]


def with_objects(entries: Sequence[Entry]) -> List[Entry]:
    """The entries that have an object to train on.

    The original keeps an image when any of its boxes has an overlap with the ground truth of at least FG_THRESH, or in
    [BG_THRESH_LO, BG_THRESH_HI). End to end the boxes are the ground truth itself, whose overlap is 1, so images
    without objects are all that this drops.
    """
    return [entry for entry in entries if len(entry.boxes)]


def _check_classes(name: str, classes: list[str]) -> None:
    if len(classes) < 2 or classes[0] != BACKGROUND:
        raise DatasetError(f"{name}: the class list must be {BACKGROUND!r} and at least one more name, not {classes}")
    if len(set(classes)) != len(classes):
        twice = sorted({c for c in classes if classes.count(c) > 1})
        raise DatasetError(f"{name}: class names occur twice: {twice}; rename one of each")


def _difference(a: list[str], b: list[str]) -> str:
    if len(a) != len(b):
        return f"{len(a) - 1} and {len(b) - 1} classes"
    index = next(i for i in range(len(a)) if a[i] != b[i])
    return f"class {index} is {a[index]!r} and {b[index]!r}"
