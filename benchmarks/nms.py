"""Times suppression of many boxes against numpy: `python -m benchmarks.nms`."""

from __future__ import annotations

import argparse
import platform
import sys

import numpy as np

from benchmarks.mask_voting import best_of
from fullconv.lib.nms.nms import nms, py_nms


def make_dets(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(n, 5) float32 boxes of 16 to 300 pixels with distinct scores."""
    rng = np.random.RandomState(seed)
    low = rng.uniform(0, 1, (n, 2)) * [width - 16, height - 16]
    high = np.minimum(low + rng.uniform(16, 300, (n, 2)), [width - 1, height - 1])
    return np.hstack([low, high, rng.permutation(n)[:, np.newaxis] / n]).astype(np.float32)


def main() -> None:
    """Prints one line per threshold: both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    dets = make_dets(args.boxes, 600, 1000)
    out = sys.stdout
    out.write(f"{platform.machine()}, {args.boxes} boxes\n")
    for threshold in (0.3, 0.5, 0.7):
        keep = nms(dets, threshold)
        if not np.array_equal(keep, py_nms(dets, threshold)):
            raise SystemExit(f"results differ at threshold {threshold}")
        plain = best_of(lambda t=threshold: py_nms(dets, t), 2)
        ours = best_of(lambda t=threshold: nms(dets, t), args.repeats)
        out.write(
            f"threshold {threshold}: {len(keep)} kept, numpy {plain * 1e3:.1f} ms, nms {ours * 1e3:.2f} ms, "
            f"{plain / ours:.1f}x\n"
        )


if __name__ == "__main__":
    main()
