"""Training and test batches of FCIS: image, ground truth and anchor targets (original section 5.5 and 5.6)."""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, Iterator, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.fcis.symbols.fcis import feature_shape
from fullconv.lib.core.loader import aspect_grouped_order, batches_of, collate, prefetch, shuffled_order
from fullconv.lib.dataset.image import ImageError, read_image, resize_image, resize_scale, scale_boxes, to_tensor
from fullconv.lib.mask.transform import resize_masks
from fullconv.lib.rpn.assign_anchor import AnchorConfig, assign_anchor
from fullconv.lib.structures.entry import Entry

Sample = Dict[str, np.ndarray]
Place = Tuple[int, List[int], List[int]]
FILLS = {"gt_boxes": -1.0, "proposal_label": -1.0}
LEAST_SIDE = 5
"""Pixels of input that convolution and pooling of stride 2 at the start of a backbone need."""
SEED_RANGE = 2**24
"""Seeds travel to the operators as float32, which is exact up to here."""


def sample_seed(seed: int, epoch: int, place: int) -> int:
    """Seed of one sample's random draws: depends on the run's seed, the epoch and the place in the epoch's order."""
    return int(np.random.SeedSequence((seed, epoch, place)).generate_state(1)[0] % SEED_RANGE)


def padded_count(count: int) -> int:
    """Rows reserved for `count` objects: the next of 1, 2, 4, 8, 16, ... so that few shapes have to be bound."""
    return 1 << max(count - 1, 0).bit_length()


class TrainLoader:
    """Batches for `FCIS.train_symbol`, `config.TRAIN.BATCH_IMAGES` images each.

    roidb: entries of `lib.dataset` with at least one object. share: batches this worker consumes per update; the images
    of one update, of all workers together, have one orientation where possible. worker: (rank, workers) in distributed
    training; every worker knows the whole order and takes its own part of each update.
    """

    def __init__(
        self, roidb: List[Entry], config, symbol: mx.sym.Symbol, share: int, worker: Tuple[int, int] = (0, 1)
    ) -> None:
        self.roidb, self.config, self.symbol = roidb, config, symbol
        self.share, (self.rank, self.workers) = share, worker
        self.group = share * self.workers * config.TRAIN.BATCH_IMAGES
        if len(roidb) < self.group:
            raise ValueError(
                f"{len(roidb)} training images are fewer than the {self.group} one update takes: use fewer devices, "
                "TRAIN.grad_accumulate 1 or more images"
            )
        check_sizes(roidb, config)
        self.anchors = anchor_config(config)
        self.feature_shape = lru_cache(maxsize=None)(lambda h, w: feature_shape(symbol, h, w))

    def __len__(self) -> int:
        """Batches of this worker per epoch; the images that do not fill an update are left out."""
        return len(self.roidb) // self.group * self.share

    def order(self, epoch: int) -> np.ndarray:
        """Indices into the roidb in this epoch's order."""
        train = self.config.TRAIN
        rng = np.random.RandomState(sample_seed(train.seed, epoch, SEED_RANGE))
        if not train.SHUFFLE:
            return np.arange(len(self.roidb))
        if not train.ASPECT_GROUPING:
            return shuffled_order(len(self.roidb), rng)
        sizes = [(entry.width, entry.height) for entry in self.roidb]
        return aspect_grouped_order(*zip(*sizes), self.group, rng)

    def plan(self, epoch: int) -> List[Place]:
        """This worker's batches of an epoch: (epoch, places in the epoch's order, indices into the roidb) each."""
        images = self.config.TRAIN.BATCH_IMAGES
        order = self.order(epoch)[: len(self.roidb) // self.group * self.group]
        return [
            (epoch, [i * images + k for k in range(images)], indices)
            for i, indices in enumerate(batches_of(order, images))
            if i // self.share % self.workers == self.rank
        ]

    def epoch(self, epoch: int) -> Iterator[Sample]:
        """Batches of one epoch, prepared by threads."""
        return prefetch(self.plan(epoch), self._batch, self.config.default.num_workers, name=self._names)

    def items(self, epoch: int, place: int) -> List[str]:
        """Image files of this worker's batch number `place` in the epoch, for error messages."""
        return [self.roidb[index].image for index in self.plan(epoch)[place][2]]

    def _names(self, item: Place) -> str:
        return ", ".join(self.roidb[index].image for index in item[2])

    def _batch(self, item: Place) -> Sample:
        epoch, places, indices = item
        samples = [
            self.sample(self.roidb[index], sample_seed(self.config.TRAIN.seed, epoch, place))
            for index, place in zip(indices, places)
        ]
        size = tuple(max(side) for side in zip(*(s["data"].shape[1:] for s in samples)))
        for sample in samples:
            sample.update(self.anchor_targets(size, sample))
        return collate(samples, FILLS)

    def sample(self, entry: Entry, seed: int) -> Sample:
        """One image and its objects without the batch axis; `seed` decides scale, anchors and the operators' draws."""
        image, im_info = load_input(entry, self.config, np.random.RandomState(seed))
        gt_boxes, gt_masks = load_ground_truth(entry, im_info)
        return {
            "data": image[0],
            "im_info": im_info,
            "gt_boxes": gt_boxes,
            "gt_masks": gt_masks,
            "seed": np.array([seed], dtype=np.float32),
        }

    def anchor_targets(self, size: Tuple[int, int], sample: Sample) -> Sample:
        """RPN label (A*h*w,), box target and weight (4A, h, w) for an input padded to `size`."""
        gt_boxes, rng = sample["gt_boxes"], np.random.RandomState(int(sample["seed"][0]))
        objects = gt_boxes[gt_boxes[:, 4] > 0]
        targets = assign_anchor(self.feature_shape(*size), objects, sample["im_info"], rng, self.anchors)
        return {f"proposal_{key}": value[0] for key, value in targets.items()}


def anchor_config(config) -> AnchorConfig:
    """Anchor shapes and label thresholds of a config."""
    network, train = config.network, config.TRAIN
    return AnchorConfig(
        stride=network.RPN_FEAT_STRIDE,
        ratios=tuple(network.ANCHOR_RATIOS),
        scales=tuple(network.ANCHOR_SCALES),
        allowed_border=train.RPN_ALLOWED_BORDER,
        batch_size=train.RPN_BATCH_SIZE,
        fg_fraction=train.RPN_FG_FRACTION,
        positive_overlap=train.RPN_POSITIVE_OVERLAP,
        negative_overlap=train.RPN_NEGATIVE_OVERLAP,
        clobber_positives=train.RPN_CLOBBER_POSITIVES,
        bbox_weights=tuple(train.RPN_BBOX_WEIGHTS),
    )


def load_input(entry: Entry, config, rng) -> Tuple[np.ndarray, np.ndarray]:
    """Network input (1,3,H,W) float32 and im_info (3,) = H, W, scale of one image."""
    image = read_image(entry.image)
    if image.shape[:2] != entry.size:
        raise ValueError(
            f"{entry.image}: the file is {image.shape[1]}x{image.shape[0]} but the annotation says "
            f"{entry.width}x{entry.height}; annotate the file that is there, or restore the original image"
        )
    if entry.flipped:
        image = image[:, ::-1]
    scales = config.SCALES
    target, longest = scales[rng.randint(len(scales))] if len(scales) > 1 else scales[0]
    return prepare_input(image, config, target, longest)


def check_sizes(roidb: Sequence[Entry], config) -> None:
    """Refuse images that `check_elongation` refuses before any work is done on the others."""
    for entry in roidb:
        check_elongation(entry.size, config.SCALES, entry.image)


def check_elongation(size: Sequence[int], scales: Sequence[Tuple[int, int]], name: str) -> None:
    """Raises ImageError when an image of `size` (h, w), resized, is too thin for the backbone's first layers."""
    for target, longest in scales:
        side = min(size) * resize_scale(*size, target, longest)
        if side < LEAST_SIDE:
            raise ImageError(
                f"{name}: {size[1]}x{size[0]} is too long and thin: at SCALES [{target}, {longest}] {side:.1f} pixels "
                f"are left of its short side, the network needs {LEAST_SIDE}; cut it into pieces or leave it out"
            )


def prepare_input(image: np.ndarray, config, target: int, longest: int) -> Tuple[np.ndarray, np.ndarray]:
    """Resize a BGR image to the network's input (1,3,H,W) and its im_info (3,)."""
    image, scale = resize_image(image, target, longest, config.network.IMAGE_STRIDE)
    tensor = to_tensor(image, config.network.PIXEL_MEANS)
    return tensor, np.array([tensor.shape[2], tensor.shape[3], scale], dtype=np.float32)


def load_ground_truth(entry: Entry, im_info: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Boxes with class (G,5) and masks (G,H,W) at input size; rows past the objects have class -1."""
    height, width = int(im_info[0]), int(im_info[1])
    objects = np.flatnonzero(entry.classes > 0)
    rows = padded_count(len(objects))
    boxes = np.full((rows, 5), -1, dtype=np.float32)
    masks = np.zeros((rows, height, width), dtype=np.float32)
    if len(objects):
        boxes[: len(objects), :4] = scale_boxes(entry.boxes[objects], im_info[2], (height, width))
        boxes[: len(objects), 4] = entry.classes[objects]
        masks[: len(objects)] = resize_masks(entry.read_masks()[objects], (height, width))
    return boxes, masks


def largest_shapes(config, symbol: mx.sym.Symbol, roidb: List[Entry]) -> Dict[str, Tuple[int, ...]]:
    """Input shapes the training executors are bound at first: the largest image with many objects."""
    images = config.TRAIN.BATCH_IMAGES
    short, long = max(config.SCALES, key=lambda scale: scale[0] * scale[1])
    stride = config.network.IMAGE_STRIDE
    if stride > 0:
        short, long = (int(np.ceil(side / stride)) * stride for side in (short, long))
    h, w = feature_shape(symbol, short, long)
    anchors = len(config.network.ANCHOR_SCALES) * len(config.network.ANCHOR_RATIOS)
    objects = max(padded_count(len(entry.boxes)) for entry in roidb)
    return {
        "data": (images, 3, short, long),
        "im_info": (images, 3),
        "gt_boxes": (images, objects, 5),
        "gt_masks": (images, objects, short, long),
        "seed": (images, 1),
        "proposal_label": (images, anchors * h * w),
        "proposal_bbox_target": (images, 4 * anchors, h, w),
        "proposal_bbox_weight": (images, 4 * anchors, h, w),
    }
