"""Training targets of the region proposal network for one image (Faster R-CNN, section 3.1.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, NamedTuple, Sequence, Tuple

import numpy as np

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.bbox.transform import encode_boxes
from fullconv.lib.rpn.anchors import anchor_grid, generate_anchors


class AnchorConfig(NamedTuple):
    """What determines the anchors and their labels; the names in brackets are the original's config keys."""

    stride: int = 16  # network.RPN_FEAT_STRIDE
    ratios: Tuple[float, ...] = (0.5, 1.0, 2.0)  # network.ANCHOR_RATIOS
    scales: Tuple[float, ...] = (8.0, 16.0, 32.0)  # network.ANCHOR_SCALES
    allowed_border: float = 0  # TRAIN.RPN_ALLOWED_BORDER
    batch_size: int = 256  # TRAIN.RPN_BATCH_SIZE
    fg_fraction: float = 0.5  # TRAIN.RPN_FG_FRACTION
    positive_overlap: float = 0.7  # TRAIN.RPN_POSITIVE_OVERLAP
    negative_overlap: float = 0.3  # TRAIN.RPN_NEGATIVE_OVERLAP
    clobber_positives: bool = False  # TRAIN.RPN_CLOBBER_POSITIVES
    bbox_weights: Tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)  # TRAIN.RPN_BBOX_WEIGHTS


@lru_cache(maxsize=32)
def _inside_anchors(
    height: int, width: int, im_height: float, im_width: float, cfg: AnchorConfig
) -> Tuple[np.ndarray, np.ndarray]:
    """Indices (n,) and boxes (n, 4) of the anchors inside the image; the same few shapes recur all epoch."""
    grid = anchor_grid(generate_anchors(16, cfg.ratios, cfg.scales), height, width, cfg.stride)
    border = cfg.allowed_border
    low_inside = (grid[:, 0] >= -border) & (grid[:, 1] >= -border)
    high_inside = (grid[:, 2] < im_width + border) & (grid[:, 3] < im_height + border)
    index = np.where(low_inside & high_inside)[0]
    inside = grid[index]
    index.flags.writeable = inside.flags.writeable = False
    return index, inside


def _label_by_overlap(overlaps: np.ndarray, cfg: AnchorConfig) -> np.ndarray:
    """1 positive, 0 negative, -1 ignored, for overlaps (anchors, gt) with at least one anchor and gt."""
    labels = np.full(len(overlaps), -1, dtype=np.float32)
    best = overlaps.max(axis=1)
    negative = best < cfg.negative_overlap
    if not cfg.clobber_positives:
        labels[negative] = 0
    # Every anchor that ties for the best of some gt, even when that best is no overlap at all.
    labels[(overlaps == overlaps.max(axis=0)).any(axis=1)] = 1
    labels[best >= cfg.positive_overlap] = 1
    if cfg.clobber_positives:
        labels[negative] = 0
    return labels


def _subsample(labels: np.ndarray, cfg: AnchorConfig, rng: np.random.RandomState) -> None:
    """Sets surplus positives, then surplus negatives, to -1; at most one draw each, in that order."""
    wanted = int(cfg.fg_fraction * cfg.batch_size)
    for value in (1, 0):
        index = np.where(labels == value)[0]
        if len(index) > wanted:
            labels[rng.choice(index, size=len(index) - wanted, replace=False)] = -1
        wanted = cfg.batch_size - int(np.sum(labels == 1))


def _to_map(values: np.ndarray, index: np.ndarray, shape: Tuple[int, int, int], fill: float) -> np.ndarray:
    """Spreads rows (n, k) of the inside anchors over the whole map: (1, A * k, h, w), channel k * a + j."""
    height, width, anchors = shape
    columns = values.shape[1]
    full = np.full((height * width * anchors, columns), fill, dtype=np.float32)
    full[index] = values
    return np.ascontiguousarray(full.reshape(1, height, width, anchors * columns).transpose(0, 3, 1, 2))


def assign_anchor(
    feat_shape: Sequence[int],
    gt_boxes: np.ndarray,
    im_info: np.ndarray,
    rng: np.random.RandomState,
    cfg: AnchorConfig = AnchorConfig(),  # noqa: B008 (immutable)
) -> Dict[str, np.ndarray]:
    """Labels and regression targets of all anchors of one image.

    Args:
        feat_shape: (..., h, w) of the feature map.
        gt_boxes: (n, 5) box and class in pixels of the network input; n may be 0, then all is background.
        im_info: (3,) or (1, 3) height, width, scale of the network input.
        rng: source of the subsampling draws (`np.random.RandomState`, so that recorded runs replay).
        cfg: anchor shapes and thresholds.

    Returns:
        label (1, A h w) float32 in (A, h, w) order, 1 / 0 / -1 (ignored);
        bbox_target (1, 4A, h, w) float32, channel 4 a + k, not normalised, for all inside anchors;
        bbox_weight (1, 4A, h, w) float32, non-zero on positives only.
        If no anchor lies inside the image all labels are -1 and all weights 0 (the original crashes).

    Raises:
        ValueError: gt_boxes is not (n, 5).
    """
    if gt_boxes.ndim != 2 or gt_boxes.shape[1] != 5:
        raise ValueError(f"assign_anchor needs gt_boxes of shape (n, 5) (box, class), got {gt_boxes.shape}")
    height, width = (int(side) for side in feat_shape[-2:])
    im_height, im_width = (float(side) for side in np.asarray(im_info).reshape(-1)[:2])
    index, inside = _inside_anchors(height, width, im_height, im_width, cfg)

    labels = np.zeros(len(inside), dtype=np.float32)
    targets = np.zeros((len(inside), 4), dtype=np.float32)
    if len(gt_boxes) and len(inside):
        overlaps = bbox_overlaps(inside, gt_boxes)
        labels = _label_by_overlap(overlaps, cfg)
        targets = encode_boxes(inside, gt_boxes[overlaps.argmax(axis=1), :4])
    _subsample(labels, cfg, rng)
    weights = np.where(labels[:, np.newaxis] == 1, np.array(cfg.bbox_weights, np.float32), np.float32(0))

    shape = (height, width, len(cfg.ratios) * len(cfg.scales))
    return {
        "label": _to_map(labels[:, np.newaxis], index, shape, -1).reshape(1, -1),
        "bbox_target": _to_map(targets, index, shape, 0),
        "bbox_weight": _to_map(weights, index, shape, 0),
    }
