"""The logistic function."""

from __future__ import annotations

import numpy as np


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in the type of `logits`."""
    # Of a large negative number exp(-x) is inf, of which 0 is made, rightly.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))
