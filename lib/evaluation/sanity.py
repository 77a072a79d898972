"""Checks that turn an "AP 0" into its cause: class counts, image ids, coordinate frames, stale caches.

What cannot be evaluated raises `EvaluationError`; what can, but will disappoint, comes back as warnings that
name cause and remedy.
"""

from __future__ import annotations

from typing import Any, Iterable, Sequence

import numpy as np

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.structures.detections import Detections

# Boxes are clipped to the image: already a few per cent outside mean another coordinate frame.
SUSPICIOUS_SHARE = 0.2


class EvaluationError(ValueError):
    """Results or ground truth that cannot be evaluated; the text says which and what to do."""


def check_results(
    classes: Sequence[str],
    num_images: int,
    detections: Sequence[Detections],
    image_sizes: Sequence[tuple[int, int]] | None = None,
    image_ids: Sequence[Any] | None = None,
    binary_thresh: float = 0.4,
    masks: bool = True,
) -> list[str]:
    """Look at results before they are evaluated.

    Args:
        classes: names of the data set, background first.
        num_images: images in the data set.
        detections: of every image, in original image pixels.
        image_sizes: (height, width) per image; without it boxes are not compared with the image.
        image_ids: names of the images for messages.
        binary_thresh: cut that masks will get.
        masks: whether masks will be evaluated; False looks at boxes only.

    Returns:
        warnings, empty when nothing is suspicious.

    Raises:
        EvaluationError: another number of images, classes the data set does not have, missing masks, NaN or infinite
            numbers.
    """
    if len(detections) != num_images:
        raise EvaluationError(
            f"results cover {len(detections)} images, but the data set has {num_images}: these are cached detections "
            "of another image set. Delete them or test with --ignore_cache"
        )
    names = image_ids if image_ids is not None else range(num_images)
    peak = max([_check_image(classes, found, names[i], masks) for i, found in enumerate(detections)], default=0.0)
    if not sum(map(len, detections)):
        return [
            "there is not a single detection, so every AP will be 0: check that the trained parameters were "
            "loaded, that the training losses fell, and that the score threshold is not too high"
        ]
    warnings = _frame_warnings(detections, image_sizes) if image_sizes is not None else []
    if masks and peak < binary_thresh:
        warnings.append(
            f"no mask value reaches the binary threshold {binary_thresh:g} (largest {peak:.3g}), so every "
            "mask will be empty: check that channel 1 (foreground) of the softmax was taken"
        )
    return warnings


def _check_image(classes: Sequence[str], found: Detections, name: Any, masks: bool) -> float:
    """Largest mask value of one image's detections."""
    if not len(found):
        return 0.0
    if found.labels.max() >= len(classes):
        raise EvaluationError(
            f"image {name}: results have class {found.labels.max()}, but the data set has {len(classes)} classes "
            "(background included): they belong to another model or data set. Check dataset.NUM_CLASSES and delete "
            "cached detections"
        )
    rows = np.hstack([found.boxes, found.scores[:, None]])
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise EvaluationError(
            f"{_where(classes, found, bad[0], name)} is {rows[bad[0]].tolist()} (x1, y1, x2, y2, score), not finite: "
            "training has diverged or the parameters are damaged. Test an earlier epoch"
        )
    return _check_masks(classes, found, name) if masks else 0.0


def _check_masks(classes: Sequence[str], found: Detections, name: Any) -> float:
    if found.masks is None:
        raise EvaluationError(f"image {name}: the results have boxes without masks: evaluate boxes, or test again")
    bad = np.flatnonzero(~np.isfinite(found.masks).all(axis=(1, 2)))
    if len(bad):
        raise EvaluationError(
            f"{_where(classes, found, bad[0], name)}: its mask is not finite: training has diverged. Test an earlier "
            "epoch"
        )
    return float(found.masks.max())


def _where(classes: Sequence[str], found: Detections, row: int, name: Any) -> str:
    return f"class '{classes[found.labels[row]]}', image {name}: box {row}"


def _frame_warnings(detections: Sequence[Detections], image_sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Boxes that end outside their image tell of another frame, inverted ones of x, y, width, height."""
    boxes = np.concatenate([found.boxes for found in detections]).astype(np.float64)
    sizes = np.concatenate([np.tile(size[::-1], (len(found), 1)) for found, size in zip(detections, image_sizes)])
    # The last pixel is side - 1, so a box inside its image is below 1.
    reach = (boxes[:, 2:] / sizes).max(axis=1)
    inverted = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    warnings = []
    if (reach > 1).mean() > SUSPICIOUS_SHARE:
        warnings.append(
            f"{100 * (reach > 1).mean():.0f}% of the boxes end outside their image, up to "
            f"{reach.max():.2f} times its size: they look like coordinates of the resized network "
            "input. Divide them by its scale"
        )
    if inverted.mean() > SUSPICIOUS_SHARE:
        warnings.append(
            f"{inverted.sum()} of {len(boxes)} boxes have x2 < x1 or y2 < y1: are they x, y, width, height?"
        )
    return warnings


def check_image_ids(image_ids: Sequence[Any], known: Iterable[Any], annotation_file: str) -> None:
    """Every image id must occur in the annotation file, and only once, else `EvaluationError`."""
    known = set(known)
    foreign = [i for i in image_ids if i not in known]
    if foreign:
        # The common case: "42" in one file and 42 in the other.
        as_text = {str(i) for i in foreign} <= {str(k) for k in known}
        raise EvaluationError(
            f"{len(foreign)} of {len(image_ids)} image ids, e.g. {foreign[0]!r}, are not in "
            f"{annotation_file}: "
            + ("ids are text on one side and numbers on the other" if as_text else "these are different image sets")
        )
    if len(set(image_ids)) != len(image_ids):
        twice = len(image_ids) - len(set(image_ids))
        raise EvaluationError(f"{twice} of {len(image_ids)} image ids occur twice: each image must be tested once")


def check_categories(
    category_ids: Sequence[Any], classes: Sequence[str], categories: Sequence[dict[str, Any]], annotation_file: str
) -> None:
    """category_ids[k - 1] must be the annotation file's id of classes[k], else `EvaluationError`."""
    if len(category_ids) != len(classes) - 1:
        raise EvaluationError(f"{len(category_ids)} category ids for {len(classes) - 1} classes and a background")
    names = {category["id"]: category.get("name") for category in categories}
    for category_id, name in zip(category_ids, classes[1:]):
        if category_id not in names:
            raise EvaluationError(
                f"category id {category_id} ('{name}') is not in {annotation_file}, which has {list(names)}"
            )
        # A file may leave names out; then the ids alone are compared.
        if names[category_id] not in (None, name):
            raise EvaluationError(
                f"category id {category_id} is '{name}' in the results but '{names[category_id]}' in "
                f"{annotation_file}: the class lists differ, and every score would go to the wrong class"
            )


def explain_low_ap(
    classes: Sequence[str],
    detections: Sequence[Detections],
    gt_boxes: Sequence[np.ndarray],
    gt_classes: Sequence[np.ndarray],
) -> list[str]:
    """Why an AP may be near 0 although the results are well formed: a look at the boxes after evaluation.

    Args:
        classes: names, background first.
        detections: of every image.
        gt_boxes: per image (n, 4), same frame as the results.
        gt_classes: per image (n,) int.

    Returns:
        sentences that name cause and remedy; empty when boxes do meet objects of their class.
    """
    if not any(len(boxes) for boxes in gt_boxes):
        return ["the data set has no object at all: check the annotation file and the name of the image set"]
    same, other = _best_overlaps(detections, gt_boxes, gt_classes)
    if not len(same):
        return ["no image with objects has a detection: check that the trained parameters were loaded"]
    if same.max() >= 0.5:
        return []
    # Boxes of neighbours of another class overlap now and then; that is no sign of another order of classes.
    if (other >= 0.5).mean() > 0.05:
        return [
            "boxes fit objects, but always of another class: the order of classes differs between the "
            f"model and this data set, which has {', '.join(classes[1:])}"
        ]
    return [
        f"no box overlaps an object of its class by more than {same.max():.2f} IoU: the network is not "
        "trained yet, or boxes are in another frame (resized input) or of other images (stale cache)"
    ]


def _best_overlaps(
    detections: Sequence[Detections], gt_boxes: Sequence[np.ndarray], gt_classes: Sequence[np.ndarray], keep: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU of the `keep` best detections per class and image: with their class, with other classes."""
    same, other = [np.zeros(0)], [np.zeros(0)]
    for found, boxes, labels in zip(detections, gt_boxes, gt_classes):
        for label in np.unique(found.labels) if len(boxes) else ():
            # The best few tell; there may be hundreds of boxes without score threshold.
            iou = bbox_overlaps(found.of_class(label).best_first().boxes[:keep], boxes)
            mine = np.asarray(labels) == label
            # `initial`, as the image may have no object of this class, or of no other.
            same.append(iou[:, mine].max(axis=1, initial=0.0))
            other.append(iou[:, ~mine].max(axis=1, initial=0.0))
    return np.concatenate(same), np.concatenate(other)
