"""What a run needs to know whatever the method, as plain values: lib does not read a method's configuration."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

import numpy as np

from fullconv.lib.core.bad_images import FAIL, LIMIT, POLICIES
from fullconv.lib.core.distributed import MPI
from fullconv.lib.core.prefetch import PATIENCE
from fullconv.lib.core.trainer import KVSTORES
from fullconv.lib.engines.network import FP32, MXNET, Choice, check_choice
from fullconv.lib.experiment.config import ConfigError, one_of

ASIDE, KEEP, REFUSE = "aside", "keep", "refuse"
USED = (ASIDE, KEEP, REFUSE)
"""What a run that starts anew does with an earlier one's files: move them into a folder of their own, leave them where
they are without counting them, or refuse to start."""


def check_kvstore(key: str, value: str) -> None:
    """Raise ConfigError unless the value of the key is one of KVSTORES; those of MXNet's parameter server say why."""
    if str(value).startswith("dist"):
        raise ConfigError(
            f"{key} is {value!r}: MXNet's parameter server is not used here, because it unpickles what anybody sends "
            "to it, listens on all addresses, and hangs when a process dies. Several processes or machines train "
            f"with {key} {MPI}, started by python -m fullconv.lib.tools.launch or mpirun (docs/several_machines.md)"
        )
    one_of(key, value, KVSTORES)


@dataclass(frozen=True)
class Settings:
    """Each method's `config.settings(config)` makes one from its own keys, which keep the names of its original.

    output_path: results go to `<output_path>/<yaml name>/<image sets>/`. seed: of everything random. frequent: updates
    (in testing, images) between two log lines. checkpoint_keep: newest checkpoints to keep, 0 keeps all. gpus: numbers
    of the published file, "0,1"; devices: "cpu", "cpu:2", "gpu:0,1", which wins over them. num_workers: threads that
    read images. kvstore: what sums the gradients, one of `lib.core.trainer.KVSTORES`. tensorboard: write event files
    too. loader_timeout, bad_images, bad_images_limit: see `lib.core.bad_images.Care`. engine, precision: what computes
    the network in testing.

    The rest is of the method and the command line, which fill it in. method: its name. immaterial: patterns of keys
    that a run's numbers do not follow from. used: one of USED. changed: resume with other settings than the run's.
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
    loader_timeout: float = PATIENCE
    bad_images: str = FAIL
    bad_images_limit: float = LIMIT
    engine: str = MXNET
    precision: str = FP32
    method: str = ""
    immaterial: Tuple[str, ...] = ()
    used: str = ASIDE
    changed: bool = False

    def __post_init__(self) -> None:
        check_kvstore("kvstore", self.kvstore)
        if self.bad_images not in POLICIES:
            raise ValueError(f"default.bad_images is {self.bad_images!r}; it must be one of {', '.join(POLICIES)}")
        for key, most in (("loader_timeout", math.inf), ("bad_images_limit", 1)):
            if not 0 <= getattr(self, key) <= most:
                raise ValueError(f"default.{key} is {getattr(self, key)}; it must be at least 0 and at most {most}")

        check_choice(Choice(self.engine, self.precision))

    def folder(self, cfg_path: str, image_sets: str) -> Path:
        """`<output_path>/<yaml base name>/<image sets joined by _>`, created."""
        sets = re.sub(r"\[:(\d+)\]", r"_first\1", "_".join(image_sets.split("+")))
        folder = Path(self.output_path or "./output") / Path(cfg_path).stem / sets
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def generator(self) -> np.random.RandomState:
        """A new generator of the run's seed, for start weights and orders; nothing draws from a global one."""
        return np.random.RandomState(self.seed % 2**32)
