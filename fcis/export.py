"""Write a trained FCIS as an ONNX file: its convolutions, any size of image, with everything about it that
`fcis/demo.py --model FILE.onnx` needs, without MXNet.

    python -m fullconv.fcis.export fcis.onnx --model output/fcis/shapes/resnet_small_shapes_fcis/train/e2e
"""

from __future__ import annotations

import argparse
import sys
from typing import Optional, Sequence

from fullconv.fcis import assembly, model
from fullconv.fcis.demo import FCISDemo, configuration
from fullconv.lib.experiment import export
from fullconv.lib.experiment.model_file import ModelFile
from fullconv.lib.export.network import Exportable


def build(args: argparse.Namespace, file: ModelFile) -> Exportable:
    """The maps of a model, and what is said of them."""
    config, names, trained = model.load(file, configuration(args.cfg, file), args.set)
    return trained.exportable(model.metadata(trained, assembly.result_spec(config), names))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit code."""
    return export.run(FCISDemo, __doc__, build, argv)


if __name__ == "__main__":
    sys.exit(main())
