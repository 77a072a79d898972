"""What a training starts from: weights of files, or numbers."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Callable, Dict, List, Sequence

import mxnet as mx

from fullconv.fcn.config import words
from fullconv.fcn.convert import start_from
from fullconv.fcn.symbols import FCN, initial_params, initial_statistics

Arrays = Dict[str, mx.nd.NDArray]


def start_weights(net: FCN, sources: Sequence[str], skip: str, seed: int, log: Callable[[str], None] = print) -> Arrays:
    """Every array of a network by name, statistics too: from the files that `sources` names, else all by `seed`.

    skip: comma separated patterns of layers that are not taken from a file. Raises FileNotFoundError or ConvertError.
    """
    if sources:
        _check_present(sources)
        params, lines = start_from(net, sources, skipped_layers(net, skip), seed)
        for line in lines:
            log(line)
    else:
        params = initial_params(net, seed)
    return {name: mx.nd.array(value) for name, value in {**params, **initial_statistics(net)}.items()}


def skipped_layers(net: FCN, patterns: str) -> List[str]:
    """Names of the network's layers that match any of the comma separated patterns."""
    names = [layer.name for layer in net.layers]
    return sorted({name for pattern in words(patterns) for name in fnmatch.filter(names, pattern)})


def _check_present(sources: Sequence[str]) -> None:
    for path in sources:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"{path}: no such file. The network starts from these weights (experiments/fcn/README.md says where "
                "they come from); name others with --set network.pretrained FILE, or train from scratch with "
                "--set network.pretrained ''"
            )
