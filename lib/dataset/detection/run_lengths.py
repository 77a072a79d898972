"""COCO run-length codes: runs of background and object pixels in turn, column by column, from the upper left corner.

The C code of pycocotools trusts them: a wrong one reads or writes outside its memory. So they are checked here.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class RLEError(ValueError):
    """A run-length code that does not describe a mask of its size."""


def run_lengths(code: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Runs (k,) int64 of a COCO run-length code, plain or compressed, of an image of `size` (h, w).

    Raises RLEError unless they describe exactly that many pixels.
    """
    if code.get("size") != list(size):
        raise RLEError(f"size {code.get('size')!r} is not the image's [height, width] {list(size)}")
    counts = code.get("counts")
    if isinstance(counts, (str, bytes)):
        runs = _decompress(counts)
    elif isinstance(counts, list) and all(isinstance(n, int) and 0 <= n <= size[0] * size[1] for n in counts):
        runs = np.array(counts, np.int64)
    else:
        raise RLEError("counts must be a list of numbers >= 0 within the image, or a compressed string")
    if np.any(runs < 0) or runs.sum() != size[0] * size[1]:
        raise RLEError(f"counts sum to {runs.sum()}, or are negative; height x width is {size[0] * size[1]}")
    return runs


def _decompress(text: str | bytes) -> np.ndarray:
    """Run lengths of COCO's compressed code.

    A number has 5 bits per character from chr(48) on, bit 5 says that more follow; from the fourth run on,
    numbers are differences to the run two before.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 0x20) == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not len(ends) or ends[-1] != len(codes) - 1:
        raise RLEError("counts is not a compressed run-length string: cut off, or foreign characters")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise RLEError("counts holds a run longer than any image")
    digit = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 0x1F) << (5 * digit), starts)
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    runs = values.copy()
    runs[1::2], runs[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return runs


def runs_extent(
    runs: np.ndarray, size: tuple[int, int], row_major: bool = False, inverted: bool = False
) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 around the object pixels of an image of `size` (h, w), as edges (x2 is the last column + 1).

    row_major: the runs go along rows, as they should not; inverted: they begin with the object. None: no object pixel.
    No mask is made: a run that turns the corner of a line covers both of its ends, any other just its own place.
    """
    ends = np.cumsum(runs)
    starts = ends - runs
    chosen = np.zeros(len(runs), bool)
    chosen[0 if inverted else 1 :: 2] = True
    chosen &= runs > 0
    starts, last = starts[chosen], ends[chosen] - 1
    if not len(starts):
        return None
    side = size[1] if row_major else size[0]
    first_line, last_line = int(starts.min() // side), int(last.max() // side) + 1
    turns = starts // side != last // side
    low = 0 if turns.any() else int((starts % side).min())
    high = side if turns.any() else int((last % side).max()) + 1
    along, across = (low, high), (first_line, last_line)
    (x1, x2), (y1, y2) = (along, across) if row_major else (across, along)
    return float(x1), float(y1), float(x2), float(y2)
