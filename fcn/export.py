"""Write a trained FCN as an ONNX file, whole, for images of any size, with everything about it that
`fcn/demo.py --model FILE.onnx` needs, without MXNet.

    python -m fullconv.fcn.export fcn8s.onnx --model output/fcn/shapes/shapes_fcn/train2400/voc-fcn8s
    python -m fullconv.fcn.export fcn8s.onnx --model fcn8s-heavy-pascal.caffemodel --network voc-fcn8s
"""

from __future__ import annotations

import argparse
import sys
from typing import Optional, Sequence

from fullconv.fcn.demo import FCNDemo, add_network
from fullconv.fcn.exported import NAME
from fullconv.fcn.model import form_of
from fullconv.fcn.published import load
from fullconv.lib.experiment import export
from fullconv.lib.experiment.model_file import ModelFile
from fullconv.lib.export.metadata import texts
from fullconv.lib.export.network import Exportable


def build(args: argparse.Namespace, file: ModelFile) -> Exportable:
    """The network of a model, and what is said of it."""
    found = load(file, args.cfg, args.set, args.network)
    form = form_of(found.trained.net)
    return found.trained.exportable(texts(NAME, {"classes": found.classes, "input": found.images, "network": form}))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit code."""
    return export.run(FCNDemo, __doc__, build, argv, add_network)


if __name__ == "__main__":
    sys.exit(main())
