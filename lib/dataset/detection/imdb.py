"""What every data set offers: classes, a roidb, mirrored copies, mask evaluation.

A roidb is a list of entries, one dict per image: image (path), image_id, height, width, boxes (n, 4)
float32 x1, y1, x2, y2 with inclusive ends in original pixels, gt_classes (n,) int32, max_overlaps (n,)
float32, flipped, masks (path of the mask cache, None without objects) and mask_source (a call that makes
the masks, see lib.mask.mask_cache).
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Sequence

import numpy as np

BACKGROUND = "__background__"
Entry = Dict[str, Any]
Roidb = List[Entry]


class DatasetError(ValueError):
    """A data set that cannot be used; the text names the file, the offending value and the remedy."""


class IMDB:
    """A named set of images with annotations.

    name: of this set, in file names. classes: names, background first. image_ids: in the order of roidb().
    """

    def __init__(self, name: str, classes: Sequence[str], image_ids: Sequence[Any], result_path: str = "") -> None:
        self.name, self.result_path = name, result_path
        self.classes, self.image_ids = list(classes), list(image_ids)
        self._roidb: Roidb | None = None
        _check_classes(name, self.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)

    def __len__(self) -> int:
        return len(self.image_ids)

    def roidb(self) -> Roidb:
        """One entry per image, empty images included; read once. Raises DatasetError or ImageError."""
        if self._roidb is None:
            self._roidb = [self.read_entry(index) for index in range(len(self))]
        return list(self._roidb)

    def read_entry(self, index: int) -> Entry:
        """The entry of image_ids[index], read and checked afresh. Raises DatasetError or ImageError."""
        raise NotImplementedError

    def evaluate_masks(
        self, all_boxes: Sequence, all_masks: Sequence, output_dir: str, binary_thresh: float = 0.4
    ) -> dict[str, float]:
        """Score detections, in original pixels.

        all_boxes[class][image]: (m, 5) x1, y1, x2, y2, score. all_masks[class][image]: (m, M, M)
        probabilities; a pixel is on from binary_thresh.
        """
        raise NotImplementedError

    def score_table(self, scores: dict[str, float]) -> str:
        """What `evaluate_masks` returned, as lines for people."""
        raise NotImplementedError


class ConcatIMDB(IMDB):
    """Several sets of one class list, one after the other: what `set1+set2` in image_set means."""

    def __init__(self, parts: Sequence[IMDB]) -> None:
        first = parts[0]
        for part in parts[1:]:
            if part.classes != first.classes:
                raise DatasetError(
                    f"{first.name} and {part.name} cannot be joined: their classes differ "
                    f"({_difference(first.classes, part.classes)}); use sets with one category list"
                )
        ids = [image_id for part in parts for image_id in part.image_ids]
        super().__init__("+".join(part.name for part in parts), first.classes, ids, first.result_path)
        self.parts = list(parts)

    def roidb(self) -> Roidb:
        return [entry for part in self.parts for entry in part.roidb()]

    def evaluate_masks(
        self, all_boxes: Sequence, all_masks: Sequence, output_dir: str, binary_thresh: float = 0.4
    ) -> dict[str, float]:
        raise DatasetError(f"{self.name} is several image sets: test them one at a time")


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


def join(image_set: str, make: Callable[[str, int | None], IMDB]) -> IMDB:
    """The set or sets named in `image_set`, each made by `make(name, limit)`."""
    parts = [make(name, limit) for name, limit in parse_image_set(image_set)]
    return parts[0] if len(parts) == 1 else ConcatIMDB(parts)


def append_flipped(roidb: Roidb) -> Roidb:
    """The entries, then their mirror images: x1' = width - x2 - 1, x2' = width - x1 - 1."""
    flipped = []
    for entry in roidb:
        boxes = entry["boxes"].copy()
        boxes[:, 0::2] = entry["width"] - entry["boxes"][:, 2::-2] - 1
        flipped.append({**entry, "boxes": boxes, "flipped": not entry["flipped"]})
    return roidb + flipped


def filter_roidb(roidb: Roidb, fg_thresh: float = 0.5, bg_thresh_hi: float = 0.5, bg_thresh_lo: float = 0.0) -> Roidb:
    """Entries with at least one box to train on: max_overlaps >= fg_thresh, or in [bg_thresh_lo,
    bg_thresh_hi).

    With ground truth alone this drops the images without objects (original's behaviour).
    """

    def usable(entry: Entry) -> bool:
        overlaps = entry["max_overlaps"]
        background = (overlaps >= bg_thresh_lo) & (overlaps < bg_thresh_hi)
        return bool(np.any((overlaps >= fg_thresh) | background))

    return [entry for entry in roidb if usable(entry)]


def make_entry(
    image: str,
    image_id: Any,
    size: tuple[int, int],
    boxes: np.ndarray,
    classes: np.ndarray,
    masks: str,
    mask_source: Callable[[], np.ndarray],
) -> Entry:
    """A roidb entry; size is (height, width), boxes (n, 4), classes (n,), masks the path of the cache."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return {
        "image": image,
        "image_id": image_id,
        "height": int(size[0]),
        "width": int(size[1]),
        "boxes": boxes,
        "gt_classes": np.asarray(classes, np.int32).reshape(-1),
        "max_overlaps": np.ones(len(boxes), np.float32),
        "flipped": False,
        "masks": masks if len(boxes) else None,
        "mask_source": mask_source,
    }


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
