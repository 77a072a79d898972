"""Write a trained FCOS as an ONNX file: backbone, pyramid and head, any batch and size of image, with everything about
it that `fcos/demo.py --model FILE.onnx` needs, without MXNet.

    python -m fullconv.fcos.export fcos.onnx --model output/fcos/shapes/shapes_fcos/train/model
"""

from __future__ import annotations

import argparse
import sys
from typing import Optional, Sequence

from fullconv.fcos import config as fcos_config
from fullconv.fcos.demo import FCOSDemo
from fullconv.fcos.model import class_names, trained
from fullconv.fcos.published import settings
from fullconv.lib.experiment import export
from fullconv.lib.experiment.config import parse_overrides
from fullconv.lib.experiment.model_file import ModelFile
from fullconv.lib.export.network import Exportable


def build(args: argparse.Namespace, file: ModelFile) -> Exportable:
    """The network of a model, and what is said of it."""
    config = fcos_config.load(args.cfg or settings(file), parse_overrides(args.set))
    names = class_names(file.path, file.prefix)
    found = trained(config, file.path, len(names) + 1)
    return found.exportable(found.metadata(names))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit code."""
    return export.run(FCOSDemo, __doc__, build, argv)


if __name__ == "__main__":
    sys.exit(main())
