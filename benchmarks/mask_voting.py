"""Times mask voting against plain OpenCV + numpy: `python -m benchmarks.mask_voting`.

600 rois around 12 objects, 21 classes, a 600 x 1000 image: two passes of 300 proposals, as FCIS has them.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from typing import Any, Callable, Tuple

import numpy as np

from benchmarks.plain_voting import plain_mask_voting
from fullconv.lib.mask.voting import mask_voting


def make_rois(
    n: int, classes: int, height: int, width: int, objects: int = 12, size: int = 21, seed: int = 0
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """masks (n, 1, M, M), boxes (n, 4), scores (n, C) of rois scattered around a few objects."""
    rng = np.random.RandomState(seed)
    sides = rng.uniform(60, 300, (objects, 2))
    corners = rng.uniform(0, 1, (objects, 2)) * ([width, height] - sides)
    owner = rng.randint(0, objects, n)
    low = corners[owner] + rng.normal(0, 0.08, (n, 2)) * sides[owner]
    high = corners[owner] + sides[owner] * (1 + rng.normal(0, 0.08, (n, 2)))
    boxes = np.clip(np.hstack([low, high]), 0, [width - 1, height - 1] * 2).astype(np.float32)
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    radius = np.hypot(x, y) + rng.normal(0, 0.05, (n, size, size))
    masks = 1 / (1 + np.exp(8 * (radius - rng.uniform(0.7, 1.1, (n, 1, 1)))))
    logits = rng.normal(0, 1, (n, classes))
    logits[np.arange(n), owner % (classes - 1) + 1] += 4
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return masks[:, np.newaxis].astype(np.float32), boxes, scores.astype(np.float32)


def best_of(function: Callable[[], Any], repeats: int) -> float:
    """Shortest time of one call in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Prints one line per rule: both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rois", type=int, default=600)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--height", type=int, default=600)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    rois = make_rois(args.rois, args.classes, args.height, args.width)
    sizes = (args.classes, 100, args.width, args.height)
    out = sys.stdout
    out.write(f"{platform.machine()}, {args.rois} rois, {args.classes} classes, {args.height}x{args.width} image\n")
    for rule in ("cpu", "gpu"):
        plain = best_of(lambda rule=rule: plain_mask_voting(*rois, *sizes, rule=rule), 2)
        ours = best_of(lambda rule=rule: mask_voting(*rois, *sizes, rule=rule), args.repeats)
        out.write(f"rule {rule}: plain {plain * 1e3:.0f} ms, mask_voting {ours * 1e3:.1f} ms: {plain / ours:.1f}x\n")


if __name__ == "__main__":
    main()
