"""What every experiment script shares: options, the run's folder, seeds, logs."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import random
import re
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from fullconv.lib.core.checkpoint import CheckpointError
from fullconv.lib.core.devices import parse_devices
from fullconv.lib.core.engine import DivergedError
from fullconv.lib.core.loader import LoaderError
from fullconv.lib.experiment import config as base

FORESEEN = (ValueError, OSError, ImportError, CheckpointError, DivergedError, LoaderError)
"""Errors whose text says what is wrong with files, options or data; anything else is a defect, with its traceback."""


class Run(NamedTuple):
    """One run of an experiment: its options, resolved config and devices."""

    args: argparse.Namespace
    config: Any
    contexts: List[mx.Context]


def parser(description: str) -> argparse.ArgumentParser:
    """The options of all `<method>_end2end_*.py` scripts; the originals' first, ours after."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--cfg", required=True, help="experiment configuration, a yaml file")
    options.add_argument("--frequent", type=int, help="batches between two log lines (default: the yaml's)")
    options.add_argument("--vis", action="store_true", help="also write a picture of every tested image")
    options.add_argument("--ignore_cache", action="store_true", help="test again even if detections are on disk")
    options.add_argument("--thresh", type=float, help="least score of a detection without mask voting (default 1e-3)")
    options.add_argument("--shuffle", action="store_true", help="test the images in random order")
    options.add_argument("--gpus", help="GPU numbers, for example 0,1 (default: the yaml's gpus)")
    options.add_argument("--devices", help="cpu, cpu:N for N devices on the processor, or gpu:0,1")
    options.add_argument("--resume", action="store_true", help="go on from the newest valid checkpoint")
    base.add_config_arguments(options)
    return options


def start(load: Callable[..., Any], description: str, argv: Optional[Sequence[str]] = None) -> Run:
    """Parse the command line, resolve the config with `load(path, overrides)` and choose devices.

    A bad option, config or device ends the program with its message and exit code 2.
    """
    options = parser(description)
    args = options.parse_args(argv)
    try:
        config = load(args.cfg, base.overrides_from(args))
        if args.frequent is not None:
            config.default.frequent = args.frequent
        if args.thresh is not None:
            config.TEST.thresh = args.thresh
        if args.gpus is not None:
            config.gpus, config.default.devices = args.gpus, f"gpu:{args.gpus}"
        if args.devices is not None:
            config.default.devices = args.devices
        contexts = parse_devices(config.gpus, config.default.devices)
    except (ValueError, FileNotFoundError) as error:
        options.exit(2, f"{error}\n")
    return Run(args, config, contexts)


def seed_all(seed: int) -> None:
    """Seed Python, numpy and MXNet."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    mx.random.seed(seed)


def output_folder(config: Any, cfg_path: str, image_sets: str) -> Path:
    """`<output_path>/<yaml base name>/<image sets joined by _>`, created."""
    name = os.path.splitext(os.path.basename(cfg_path))[0]
    sets = re.sub(r"\[:(\d+)\]", r"_first\1", "_".join(image_sets.split("+")))
    folder = Path(config.output_path or "./output") / name / sets
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main(load: Callable[..., Any], description: str, *stages: Callable[[Run], Any]) -> None:
    """Run the stages in order. A foreseen error ends the program with its message, without a traceback, as exit 1."""
    run = start(load, description)
    try:
        for stage in stages:
            stage(run)
    except FORESEEN as error:
        logging.getLogger("fullconv").error("%s: %s", type(error).__name__, explain(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        logging.getLogger("fullconv").error("interrupted; --resume goes on from the last finished epoch")
        raise SystemExit(130) from None


def explain(error: BaseException) -> str:
    """The text of a foreseen error; what the system refuses gets the remedy that its text lacks."""
    text = str(error)
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
        text += "; free space, check permissions, or write to another folder"
    return text
