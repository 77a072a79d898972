"""From a trained network and an image of any size to class scores and labels at that size."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Tuple

import numpy as np

from fullconv.fcn.geometry import FIRST_STEP, check_sizes
from fullconv.lib.core.loader import Sample
from fullconv.lib.engines.network import Network
from fullconv.lib.evaluation.segmentation import softmax_loss

Tensors = Mapping[str, np.ndarray]


class Piece(NamedTuple):
    """Part of an image: the rows (or columns) that are kept, inside those the network is given."""

    kept: slice
    given: slice


class Tile(NamedTuple):
    """Scores of one part of an image."""

    rows: slice
    columns: slice
    scores: Dict[str, np.ndarray]  # label map -> (C, h, w)


def pieces(length: int, tile: int, margins: Tuple[int, int]) -> List[Piece]:
    """Cut `length` pixels so that no part given to the network is longer than `tile`.

    margins: pixels in front of and behind a kept part that its scores depend on. Given parts start at multiples of the
    network's coarsest step, where they meet the same pooling grid as the whole; at the image's ends they have the
    image's own border. So each score is computed from the same numbers as in one piece.

    Raises ValueError: `tile` is too small for its margins.
    """
    if tile <= 0 or length <= tile:
        return [Piece(slice(0, length), slice(0, length))]
    # Rounded up to the coarsest step: a given part that starts there has its pooling windows where the whole has them.
    before = -(-margins[0] // FIRST_STEP) * FIRST_STEP
    # Rounded down for the same reason: the next part starts a multiple of the step further on.
    core = (tile - before - margins[1]) // FIRST_STEP * FIRST_STEP
    if core < FIRST_STEP:
        least = before + margins[1] + FIRST_STEP
        raise ValueError(f"TEST.tile is {tile}; this network looks {margins[0]} pixels around, so {least} is the least")
    found = []
    for start in range(0, length, core):
        kept = slice(start, min(start + core, length))
        found.append(Piece(kept, slice(max(0, start - before), min(length, kept.stop + margins[1]))))
    return found


class Form(NamedTuple):
    """What distinguishes one network's use from another's.

    inputs: their names. labels: name of the label map of each output, in order. least_size: pixels an image must have
    in either direction. margins: pixels in front of and behind a pixel that its scores depend on. whole: images are
    never cut, because every score depends on all of them.
    """

    inputs: Tuple[str, ...]
    labels: Tuple[str, ...]
    least_size: int
    margins: Tuple[int, int]
    whole: bool

    def check_tile(self, tile: int) -> int:
        """The longest side of a piece, 0 for none. Raises ValueError: smaller than what one score depends on."""
        tile = 0 if self.whole else tile
        pieces(tile + 1, tile, self.margins)
        return tile


class Segmenter:
    """A trained FCN on one device.

    network: from the inputs (1, C, H, W) to scores (1, classes, H, W), whatever computes it (`fcn.model`). tile: images
    with a longer side are run in pieces of at most this; 0 never.

    Raises ValueError: `tile` is smaller than what one score depends on.
    """

    def __init__(self, network: Network, form: Form, tile: int = 0) -> None:
        # A tile too small is refused now, not at the first large image.
        self.network, self.form, self.tile = network, form, form.check_tile(tile)

    def start(self, tensors: Tensors) -> tuple:
        """Queue the first forward pass over one image; `finish` takes what this returns.

        tensors: (1, C, H, W) float32 per network input, see `fcn.preprocess`. Raises ValueError: fewer pixels than the
        network's `least_size`.
        """
        height, width = next(iter(tensors.values())).shape[2:]
        check_sizes(["this image"], [(height, width)], self.form.least_size)
        rows = pieces(height, self.tile, self.form.margins)
        columns = pieces(width, self.tile, self.form.margins)
        # One shape after the other: each bound executor keeps a copy of the weights, so only a few stay bound.
        places = sorted(((row, column) for row in rows for column in columns), key=_given_size)
        return tensors, places, self._queue(tensors, *places[0])

    def finish(self, started: tuple) -> Iterator[Tile]:
        """The image's scores part by part; while one is used the next is under way."""
        tensors, places, outputs = started
        for number, (row, column) in enumerate(places):
            ahead = self._queue(tensors, *places[number + 1]) if number + 1 < len(places) else None
            yield self._tile(row, column, outputs)
            outputs = ahead

    def _queue(self, tensors: Tensors, row: Piece, column: Piece) -> Any:
        # A view: MXNet copies it to the device anyway.
        part = {name: array[:, :, row.given, column.given] for name, array in tensors.items()}
        return self.network.start(part)

    def _tile(self, row: Piece, column: Piece, outputs: Any) -> Tile:
        arrays = self.network.finish(outputs)
        top, left = row.given.start, column.given.start
        rows = slice(row.kept.start - top, row.kept.stop - top)
        columns = slice(column.kept.start - left, column.kept.stop - left)
        # Outputs are in the order of the label maps, whatever a network calls them.
        scores = {label: array[0][:, rows, columns] for label, array in zip(self.form.labels, arrays.values())}
        return Tile(row.kept, column.kept, scores)

    def scores(self, tensors: Tensors) -> Dict[str, np.ndarray]:
        """(C, H, W) float32 per label map, before any softmax."""
        return self._assembled(tensors, lambda score: score, np.float32)

    def segment(self, tensors: Tensors) -> Dict[str, np.ndarray]:
        """(H, W) uint8 class per label map; the first of equal scores wins (original's behaviour)."""
        return self._assembled(tensors, best_class, np.uint8)

    def _assembled(self, tensors: Tensors, convert, dtype) -> Dict[str, np.ndarray]:
        height, width = next(iter(tensors.values())).shape[2:]
        found: Dict[str, np.ndarray] = {}
        for tile in self.finish(self.start(tensors)):
            for label, score in tile.scores.items():
                part = convert(score)
                if label not in found:
                    found[label] = np.empty(part.shape[:-2] + (height, width), dtype)
                found[label][..., tile.rows, tile.columns] = part
        return found


class Judge:
    """A segmenter whose results are compared with the truth, part by part, so that scores need never be whole.

    A `lib.core.inference.Device` for the samples of `fcn.loader.ImageSource`.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def start(self, sample: Sample) -> tuple:
        """Queue the first part of an image."""
        return self.segmenter.start({name: sample[name][None] for name in self.segmenter.form.inputs})

    def finish(
        self, sample: Sample, started: tuple, on_outputs: Callable[[], None]
    ) -> Tuple[Dict[str, np.ndarray], Dict[str, float]]:
        """Labels (h, w) and loss (sum over labelled pixels, original's behaviour) per label map."""
        truths = {label: sample[label][0] for label in self.segmenter.form.labels}
        labels = {name: np.zeros(truth.shape, np.uint8) for name, truth in truths.items()}
        losses = dict.fromkeys(truths, 0.0)
        for tile in self.segmenter.finish(started):
            on_outputs()
            for name, score in tile.scores.items():
                labels[name][tile.rows, tile.columns] = best_class(score)
                losses[name] += softmax_loss(score, truths[name][tile.rows, tile.columns])
        return labels, losses


def _given_size(place: Tuple[Piece, Piece]) -> Tuple[int, ...]:
    return tuple(piece.given.stop - piece.given.start for piece in place)


def best_class(score: np.ndarray) -> np.ndarray:
    """(C, h, w) -> (h, w) uint8: where the score is highest, the first of equal ones.

    Class by class over contiguous memory, several times faster than argmax over the first axis.
    """
    best, label = score[0].copy(), np.zeros(score.shape[1:], np.uint8)
    for index in range(1, len(score)):
        # Only where it is larger, so that of equal scores the first class stays.
        np.copyto(label, np.uint8(index), where=score[index] > best)
        np.maximum(best, score[index], out=best)
    return label
