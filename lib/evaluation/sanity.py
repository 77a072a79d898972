"""Checks that turn an "AP 0" into its cause: class counts, image ids, coordinate frames, stale caches.

What cannot be evaluated raises `EvaluationError`; what can, but will disappoint, comes back as warnings that
name cause and remedy.
"""

from __future__ import annotations

from typing import Iterable, Iterator, Sequence

import numpy as np

# Boxes are clipped to the image: already a few per cent outside mean another coordinate frame.
SUSPICIOUS_SHARE = 0.2


class EvaluationError(ValueError):
    """Results or ground truth that cannot be evaluated; the text says which and what to do."""


def check_results(
    classes: Sequence[str],
    num_images: int,
    all_boxes: Sequence[Sequence[np.ndarray]],
    all_masks: Sequence[Sequence[np.ndarray]] | None = None,
    image_sizes: Sequence[tuple[int, int]] | None = None,
    image_ids: Sequence | None = None,
    binary_thresh: float = 0.4,
) -> list[str]:
    """Look at results before they are evaluated.

    Args:
        classes: names of the data set, '__background__' first.
        num_images: images in the data set.
        all_boxes: all_boxes[class][image] (m, 5) x1, y1, x2, y2, score in original image pixels.
        all_masks: all_masks[class][image] (m, M, M) or (m, 1, M, M) probabilities; None looks at boxes only.
        image_sizes: (height, width) per image; without it boxes are not compared with the image.
        image_ids: names of the images for messages.
        binary_thresh: cut that masks will get.

    Returns:
        warnings, empty when nothing is suspicious.

    Raises:
        EvaluationError: wrong number of classes or images, shapes that do not fit, NaN or infinite numbers.
    """
    _check_layout(classes, num_images, all_boxes, "boxes")
    if all_masks is not None:
        _check_layout(classes, num_images, all_masks, "masks")
    names = image_ids if image_ids is not None else range(num_images)
    total, peak = 0, 0.0
    for c, i, boxes in _entries(all_boxes):
        where = f"class '{classes[c]}', image {names[i]}"
        _check_boxes(boxes, where)
        if all_masks is not None:
            peak = max(peak, _check_masks(all_masks[c][i], len(boxes), where))
        total += len(boxes)
    if total == 0:
        return [
            "there is not a single detection, so every AP will be 0: check that the trained parameters were "
            "loaded, that the training losses fell, and that the score threshold is not too high"
        ]
    warnings = _frame_warnings(all_boxes, image_sizes) if image_sizes is not None else []
    if all_masks is not None and peak < binary_thresh:
        warnings.append(
            f"no mask value reaches the binary threshold {binary_thresh:g} (largest {peak:.3g}), so every "
            "mask will be empty: check that channel 1 (foreground) of the softmax was taken"
        )
    return warnings


def _entries(all_boxes) -> Iterator[tuple[int, int, np.ndarray]]:
    """(class, image, (m, 5) boxes) wherever there are any; background is left out, as in the evaluations."""
    for c in range(1, len(all_boxes)):
        for i, boxes in enumerate(all_boxes[c]):
            boxes = np.asarray(boxes)
            if boxes.size:
                yield c, i, boxes


def _check_layout(classes, num_images, per_class, what: str) -> None:
    if len(per_class) != len(classes):
        raise EvaluationError(
            f"results have {what} of {len(per_class)} classes, but the data set has {len(classes)} "
            "(background included): they belong to another model or data set. "
            "Check dataset.NUM_CLASSES and delete cached detections"
        )
    for name, per_image in list(zip(classes, per_class))[1:]:
        if len(per_image) != num_images:
            raise EvaluationError(
                f"{what} of class '{name}' cover {len(per_image)} images, but the data set has "
                f"{num_images}: these are cached detections of another image set. "
                "Delete them or test with --ignore_cache"
            )


def _check_boxes(boxes: np.ndarray, where: str) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise EvaluationError(f"{where}: boxes have shape {boxes.shape}, expected (m, 5) x1, y1, x2, y2, score")
    bad = np.flatnonzero(~np.isfinite(boxes).all(axis=1))
    if len(bad):
        raise EvaluationError(
            f"{where}: box {bad[0]} is {boxes[bad[0]].tolist()}, not finite: training has diverged or the "
            "parameters are damaged. Test an earlier epoch"
        )


def _check_masks(masks, num_boxes: int, where: str) -> float:
    """Largest value of the masks of one image."""
    masks = np.asarray(masks)
    if masks.ndim not in (3, 4) or len(masks) != num_boxes or (masks.ndim == 4 and masks.shape[1] != 1):
        raise EvaluationError(f"{where}: masks have shape {masks.shape}, expected ({num_boxes}, M, M)")
    low, high = float(masks.min()), float(masks.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise EvaluationError(f"{where}: masks are not finite: training has diverged. Test an earlier epoch")
    return high


def _frame_warnings(all_boxes, image_sizes) -> list[str]:
    """Boxes that end outside their image tell of another frame, inverted ones of x, y, width, height."""
    boxes = np.concatenate([b[:, :4] for _, _, b in _entries(all_boxes)]).astype(np.float64)
    sizes = np.concatenate([np.tile(image_sizes[i][::-1], (len(b), 1)) for _, i, b in _entries(all_boxes)])
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


def check_image_ids(image_ids: Sequence, known: Iterable, annotation_file: str) -> None:
    """Every image id must occur in the annotation file, and only once, else `EvaluationError`."""
    known = set(known)
    foreign = [i for i in image_ids if i not in known]
    if foreign:
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
    category_ids: Sequence[int], classes: Sequence[str], categories: Sequence[dict], annotation_file: str
) -> None:
    """category_ids[k - 1] must be the annotation file's id of classes[k], else `EvaluationError`."""
    if len(category_ids) != len(classes) - 1:
        raise EvaluationError(f"{len(category_ids)} category ids for {len(classes) - 1} classes and a background")
    names = {category["id"]: category.get("name") for category in categories}
    for category_id, name in zip(category_ids, classes[1:]):
        if category_id not in names:
            raise EvaluationError(
                f"category id {category_id} ('{name}') is not in {annotation_file}, which has {sorted(names)}"
            )
        if names[category_id] not in (None, name):
            raise EvaluationError(
                f"category id {category_id} is '{name}' in the results but '{names[category_id]}' in "
                f"{annotation_file}: the class lists differ, and every score would go to the wrong class"
            )


def explain_low_ap(
    classes: Sequence[str],
    all_boxes: Sequence[Sequence[np.ndarray]],
    gt_boxes: Sequence[np.ndarray],
    gt_classes: Sequence[np.ndarray],
) -> list[str]:
    """Why an AP may be near 0 although the results are well formed: a look at the boxes after evaluation.

    Args:
        classes: names, '__background__' first.
        all_boxes: all_boxes[class][image] (m, 5).
        gt_boxes: per image (n, 4), same frame as the results.
        gt_classes: per image (n,) int.

    Returns:
        sentences that name cause and remedy; empty when boxes do meet objects of their class.
    """
    if not any(len(boxes) for boxes in gt_boxes):
        return ["the data set has no object at all: check the annotation file and the name of the image set"]
    same, other = _best_overlaps(all_boxes, gt_boxes, gt_classes)
    if not len(same):
        return ["no image with objects has a detection: check that the trained parameters were loaded"]
    if same.max() >= 0.5:
        return []
    if (other >= 0.5).mean() > 0.05:
        return [
            "boxes fit objects, but always of another class: the order of classes differs between the "
            f"model and this data set, which has {', '.join(classes[1:])}"
        ]
    return [
        f"no box overlaps an object of its class by more than {same.max():.2f} IoU: the network is not "
        "trained yet, or boxes are in another frame (resized input) or of other images (stale cache)"
    ]


def _best_overlaps(all_boxes, gt_boxes, gt_classes, keep: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU of the `keep` best detections per class and image: with their class, with other classes."""
    same, other = [], []
    for c, i, boxes in _entries(all_boxes):
        if not len(gt_boxes[i]):
            continue
        best = boxes[np.argsort(-boxes[:, 4], kind="stable")[:keep], :4].astype(np.float64)
        iou = _iou(best, np.asarray(gt_boxes[i], dtype=np.float64)[:, :4])
        mine = np.asarray(gt_classes[i]) == c
        same.append(iou[:, mine].max(axis=1, initial=0.0))
        other.append(iou[:, ~mine].max(axis=1, initial=0.0))
    return np.concatenate([*same, np.zeros(0)]), np.concatenate([*other, np.zeros(0)])


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (A, B) of boxes with inclusive ends."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.prod(np.maximum(high - low + 1, 0), axis=2)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2] + 1, axis=1) for x in (a, b))
    return intersection / np.maximum(area_a[:, None] + area_b[None] - intersection, 1e-9)
