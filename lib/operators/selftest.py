"""Calls every operator once on a few numbers: `python -m lib.operators.selftest [--gpu]`.

For init.sh and bug reports: it shows that the library loads, finds its operators and computes.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Callable, Dict

import mxnet as mx
import numpy as np

from lib.operators.channel_operator import group_max, group_pick, group_softmax
from lib.operators.fcis_head import fcis_head
from lib.operators.library import registered
from lib.operators.psroi_pooling import psroi_pooling

__all__ = ["CHECKS", "main"]


def _psroi_pooling() -> bool:
    data = mx.nd.arange(32).reshape((1, 2, 4, 4))
    pooled = psroi_pooling(data, mx.nd.array([[0, 0, 0, 3, 3]]), 1.0, 2, 2, 1).asnumpy()
    return np.array_equal(pooled, data.asnumpy().reshape(1, 2, 2, 2, 2, 2).mean((3, 5)))


def _channel_operator() -> bool:
    data = mx.nd.arange(8).reshape((2, 4, 1, 1))
    best, picked = group_max(data, 2), group_pick(data, mx.nd.array([0, 1]), 2)
    halves = group_softmax(data, 2).reshape((4, 2)).sum(axis=1)
    found = [x.asnumpy().ravel().tolist() for x in (best, picked)]
    return found == [[1, 3, 5, 7], [0, 1, 6, 7]] and np.allclose(halves.asnumpy(), 1)


def _fcis_head() -> bool:
    maps, rois = mx.nd.arange(64).reshape((1, 4, 4, 4)), mx.nd.array([[0, 0, 0, 3, 3]])
    cls_prob, bbox_pred, seg_pred = fcis_head(maps, maps[:, :1], rois, 2, 1.0, 1, 2, 1)
    return cls_prob.argmax(axis=1).asscalar() == 1 and bbox_pred.asscalar() == 7.5 and seg_pred.shape == (1, 2, 2, 2)


# Registered name -> a check that returns whether the numbers are right.
CHECKS: Dict[str, Callable[[], bool]] = {
    "fullconv_psroi_pooling": _psroi_pooling,
    "_contrib_ChannelOperator": _channel_operator,
    "fullconv_fcis_head": _fcis_head,
}


def main() -> int:
    """Prints a line per operator; 0 when all are right."""
    parser = argparse.ArgumentParser(prog="python -m lib.operators.selftest", description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true", help="on GPU 0 instead of the CPU")
    context = mx.gpu(0) if parser.parse_args().gpu else mx.cpu()
    failures = 0
    for name in registered():
        start = time.time()
        try:
            with context:
                outcome = "ok" if CHECKS[name]() else "WRONG NUMBERS"
        except KeyError:
            outcome = "registered, no check"
        except mx.MXNetError as error:
            outcome = f"FAILED: {str(error).strip().splitlines()[-1]}"
        failures += outcome not in ("ok", "registered, no check")
        print(f"  {name:<32} {outcome} ({1000 * (time.time() - start):.0f} ms)")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
