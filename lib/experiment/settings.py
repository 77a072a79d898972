"""What a run needs to know whatever the method, as plain values: no file of lib reads a method's configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from easydict import EasyDict


@dataclass(frozen=True)
class Settings:
    """Each method's `config.settings(config)` makes one from its own keys, which keep the names of its original.

    output_path: results go to `<output_path>/<yaml name>/<image sets>/`. seed: of everything random. frequent: updates
    (in testing, images) between two log lines. checkpoint_keep: newest checkpoints to keep, 0 keeps all. gpus: numbers
    of the published file, "0,1"; devices: "cpu", "cpu:2", "gpu:0,1", which wins over them. num_workers: threads that
    read images. kvstore: how gradients are summed. tensorboard: write event files too.
    """

    output_path: str
    seed: int
    frequent: int = 20
    checkpoint_keep: int = 0
    gpus: str = ""
    devices: str = ""
    num_workers: int = 2
    kvstore: str = "device"
    tensorboard: bool = False

    def folder(self, cfg_path: str, image_sets: str) -> Path:
        """`<output_path>/<yaml base name>/<image sets joined by _>`, created."""
        sets = re.sub(r"\[:(\d+)\]", r"_first\1", "_".join(image_sets.split("+")))
        folder = Path(self.output_path or "./output") / Path(cfg_path).stem / sets
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def generator(self) -> np.random.RandomState:
        """A new generator of the run's seed, for start weights and orders; nothing draws from a global one."""
        return np.random.RandomState(self.seed % 2**32)


def default_group(kvstore: str) -> EasyDict:
    """The group `default` of methods whose configuration has the form of FCIS's; the first two keys are its own."""
    group = EasyDict()
    group.frequent = 20  # updates between two log lines
    group.kvstore = kvstore  # local, device or dist_sync
    # ours
    group.devices = ""  # instead of gpus: "cpu", "cpu:2" (two devices on one processor), "gpu:0,1"
    group.num_workers = 2  # threads that read images
    group.tensorboard = False  # also write TensorBoard event files
    group.checkpoint_keep = 0  # newest checkpoints to keep; 0 keeps all
    return group


def from_default_group(config: EasyDict) -> Settings:
    """Settings of a configuration with `output_path`, `gpus`, `TRAIN.seed` and a `default_group`."""
    return Settings(output_path=config.output_path, seed=config.TRAIN.seed, gpus=config.gpus, **config.default)
