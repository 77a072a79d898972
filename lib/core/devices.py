"""Which devices to run on: `--gpus 0,1` and `--devices cpu:2` to MXNet contexts."""

from __future__ import annotations

from typing import List

import mxnet as mx


def parse_devices(gpus: str = "", devices: str = "") -> List[mx.Context]:
    """Contexts named by the options, or by the config's `gpus` and `default.devices`.

    gpus: '0,1,2,3'. devices: 'cpu', 'cpu:2' (two CPU contexts), 'gpu:0,1'; it wins over `gpus` when given.
    Without a GPU that works, the published configs' `gpus` fall back to one CPU device with a printed line.
    Raises ValueError for text that is neither.
    """
    text = str(devices or "").strip().lower()
    if text.startswith("cpu"):
        count = text[3:].lstrip(":") or "1"
        if not count.isdigit() or int(count) < 1:
            raise ValueError(f"devices={devices!r}: after 'cpu:' comes how many, for example cpu:2")
        return [mx.cpu(i) for i in range(int(count))]
    explicit = text.startswith("gpu")
    wanted = text[3:].lstrip(":") or "0" if explicit else str(gpus).strip()
    if text and not explicit:
        raise ValueError(f"devices={devices!r}: use cpu, cpu:N or gpu:0,1,...")
    if not wanted:
        return [mx.cpu(0)]
    try:
        indices = [int(part) for part in wanted.split(",")]
    except ValueError as error:
        raise ValueError(f"gpus={gpus!r}: a comma-separated list of numbers is expected, for example 0,1") from error
    return _gpus(indices, explicit)


def _gpus(indices: List[int], explicit: bool) -> List[mx.Context]:
    available = mx.context.num_gpus()
    if available > max(indices):
        return [mx.gpu(i) for i in indices]
    if explicit:
        raise ValueError(
            f"gpu:{max(indices)} was asked for, and MXNet sees {available} GPUs; `python -m lib.env` says why"
        )
    print(
        f"No GPU {max(indices)} here (MXNet sees {available}): one CPU device stands in for gpus {indices}. "
        f"--set TRAIN.grad_accumulate {len(indices)} (FCN: TRAIN.iter_size) trains as {len(indices)} devices do."
    )
    return [mx.cpu(0)]
