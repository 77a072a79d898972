"""A page of pictures with detections beside the ground truth, and what was found, missed and made up in each."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Sequence

import numpy as np

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.dataset.image import read_image
from fullconv.lib.evaluation.sds_mapr import crop_segment, render_segment, segment_iou
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import Entry
from fullconv.lib.visualize.instances import draw_detections, draw_instances, side_by_side
from fullconv.lib.visualize.page import Picture, write_page

FOUND_IOU = 0.5  # a detection that covers an object at least so well counts as right


def write_gallery(
    folder: str | Path,
    entries: Sequence[Entry],
    classes: Sequence[str],
    detections: Sequence[Detections],
    thresh: float = 0.7,
    binary_thresh: float = 0.4,
    title: str = "Results",
) -> Path:
    """Pictures of ground truth and detections side by side.

    Args:
        folder: made if missing; `index.html` and the pictures go there.
        entries: the first len(entries) images of the results. Where the entries or the detections have no masks, boxes
            are drawn and compared.
        classes: names, background first.
        detections: of every image, in original pixels.
        thresh: least score that is shown.
        binary_thresh: least probability that belongs to a mask.

    Returns:
        path of `index.html`.

    Raises:
        ImageError: an image that cannot be read. OSError: a file cannot be written.
    """

    def pictures() -> Iterator[Picture]:
        for entry, found in zip(entries, detections):
            # One at a time: pictures of a whole data set would not fit into memory.
            yield _compare(entry, found.above(thresh).best_first(), classes, binary_thresh)

    pairs = zip(entries, detections)
    masks = all(entry.masks is not None and found.masks is not None for entry, found in pairs)
    note = f"detections with a score of at least {thresh:g}; right means {'mask' if masks else 'box'} IoU of at least "
    return write_page(folder, pictures(), title, f"{note}{FOUND_IOU:g}")


def _compare(entry: Entry, found: Detections, classes: Sequence[str], binary_thresh: float) -> Picture:
    image = read_image(entry.image)
    masks = entry.read_masks() if entry.masks is not None else None
    left = draw_instances(image, entry.boxes, [classes[c] for c in entry.classes], masks)
    right = draw_detections(image, found, classes, binary_thresh)
    right_ones = _count_right(entry, masks, found, binary_thresh)
    count = len(entry.boxes)
    # The harmonic mean of precision and recall: 1 when all is found and nothing made up.
    quality = 2 * right_ones / (len(found) + count) if len(found) + count else 1.0
    caption = f"{count} objects, {right_ones} found, {len(found) - right_ones} false"
    return Picture(Path(entry.image).name, side_by_side(left, right), caption, quality)


def _count_right(entry: Entry, masks: np.ndarray | None, found: Detections, binary_thresh: float) -> int:
    """Detections that cover an object of their class no better one took, as in the SDS and VOC protocols."""
    if masks is None or found.masks is None:
        overlaps = bbox_overlaps(found.boxes, entry.boxes)
    else:
        overlaps = _mask_overlaps(masks, found, binary_thresh)
    used: set[int] = set()
    for row, label in zip(overlaps, found.labels):
        mine = np.flatnonzero(entry.classes == label)
        best = int(mine[row[mine].argmax()]) if len(mine) else -1
        if best >= 0 and row[best] >= FOUND_IOU:
            # A set: a second detection of the same object adds nothing, so it is false.
            used.add(best)
    return len(used)


def _mask_overlaps(masks: np.ndarray, found: Detections, binary_thresh: float) -> np.ndarray:
    """IoU (m, n) of detections and objects; 0 where either has no pixel."""
    objects = [crop_segment(mask) for mask in masks]
    overlaps = np.zeros((len(found), len(objects)))
    assert found.masks is not None
    for row, box, mask in zip(overlaps, found.boxes, found.masks):
        segment = render_segment(box, mask, binary_thresh)
        for k, truth in enumerate(objects):
            if segment is not None and truth is not None:
                row[k] = segment_iou(segment, truth)
    return overlaps
