"""The model that a person names on the command line: a prefix of checkpoints, or a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

from fullconv.lib.dataset.image_files import UsageError

EXPORTED = ".onnx"
"""Ending of a model that carries its configuration and class names, and needs no MXNet."""


class ModelFile(NamedTuple):
    """The file with the weights, and the prefix that configuration and class names stand beside."""

    path: str
    prefix: str

    @property
    def exported(self) -> bool:
        """Whether it is an exported network instead of a checkpoint."""
        return self.path.endswith(EXPORTED)

    @property
    def config(self) -> Optional[str]:
        """The configuration that training left beside it; None where there is none."""
        return self._beside("config.yaml")

    @property
    def scores(self) -> Optional[str]:
        """The `scores.json` of a test that somebody put beside it, for its thresholds; None where there is none."""
        return self._beside("scores.json")

    def _beside(self, ending: str) -> Optional[str]:
        path = f"{self.prefix}-{ending}"
        return path if os.path.isfile(path) else None


def find_model(model: str, epoch: Optional[int], endings: Sequence[str], advice: str) -> ModelFile:
    """The file of `model`, which is one of these `endings`, or of its checkpoint `epoch`, by default the newest.

    advice: lines that say where to get a model. Raises UsageError: there is no such file.
    """
    if model.endswith(tuple(endings)):
        if epoch is not None:
            raise UsageError(f"--epoch {epoch} belongs to a prefix of checkpoints, and --model {model} names a file")
        stem = os.path.splitext(model)[0]
        # A checkpoint's number is not part of the prefix.
        found = ModelFile(model, (stem.rpartition("-")[0] or stem) if model.endswith(".params") else stem)
        others = ""
    else:
        # Checkpoints are read by MXNet, exported files without it.
        from fullconv.lib.core import checkpoint

        there = checkpoint.epochs(model)
        if epoch is None:
            # Where all are damaged the last one is taken: loading it says how.
            epoch = checkpoint.latest(model) or (there[-1] if there else 0)
        found = ModelFile(checkpoint.params_path(model, epoch), model)
        others = f", found epochs {', '.join(map(str, there))}: choose with --epoch" if there else ""
    if not os.path.isfile(found.path):
        raise UsageError(f"no model: looked for {Path(found.path).absolute()}{others}.\n{advice}")
    return found
