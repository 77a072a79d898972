"""Arrays by parameter name, from Caffe's files or our own."""

from __future__ import annotations

from typing import Dict

import numpy as np

from fullconv.lib.convert import caffe
from fullconv.lib.core import checkpoint

Params = Dict[str, np.ndarray]


def read_weights(path: str) -> Params:
    """Arrays by parameter name from a `.caffemodel` or one of our `.params` files.

    Raises:
        FileNotFoundError, ConvertError, CheckpointError: absent, damaged or of another kind.
    """
    if not path.endswith(".params"):
        return caffe.load_params(path)
    arrays = checkpoint.read_arrays(path)
    return {name.split(":", 1)[-1]: array.asnumpy() for name, array in arrays.items()}
