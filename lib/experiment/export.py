"""The command that writes a trained model as an ONNX file, as every method has it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Callable, Optional, Sequence, Type

from fullconv.lib.experiment.demo import Demo
from fullconv.lib.experiment.foreseen import FORESEEN, explain
from fullconv.lib.experiment.model_file import EXPORTED, ModelFile
from fullconv.lib.export import onnx_format
from fullconv.lib.export.metadata import VERSION
from fullconv.lib.export.network import Exportable, onnx_model

Build = Callable[[argparse.Namespace, ModelFile], Exportable]


def run(
    demo: Type[Demo],
    description: str,
    build: Build,
    argv: Optional[Sequence[str]] = None,
    add_options: Callable[[argparse.ArgumentParser], None] = lambda options: None,
) -> int:
    """Export what `build(args, model)` makes of the model that the command line names, found as the method's demo
    finds it. Exit code: 0; 2, no model, or one that cannot be exported or written.
    """
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("out", help="file to write, .onnx")
    options.add_argument(
        "--model", default=demo.default_model, help="a file, or the prefix of checkpoints (default: %(default)s)"
    )
    options.add_argument("--epoch", type=int, help="number of the checkpoint of a prefix (default: the newest)")
    options.add_argument("--cfg", help="yaml file (default: the one that training left beside the model)")
    options.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY VALUE", help="keys to change")
    add_options(options)
    args = options.parse_args(argv)
    try:
        if not args.out.endswith(EXPORTED):
            raise ValueError(f"{args.out}: the name of an exported model ends in {EXPORTED}")
        finder = demo()
        finder.args = args
        model = finder.find()
        if model.exported:
            raise ValueError(f"{model.path} is an exported model already: name the checkpoint it was made of")
        network = build(args, model)
        Path(args.out).absolute().parent.mkdir(parents=True, exist_ok=True)
        onnx_format.write(args.out, onnx_model(network, Path(args.out).stem, VERSION))
    except FORESEEN as error:
        print(f"export: {explain(error)}", file=sys.stderr)
        return 2
    inputs = ", ".join(f"{name} (N, {channels}, H, W)" for name, channels in network.inputs.items())
    print(f"{args.out}: ONNX of opset {onnx_format.OPSET}, {inputs} -> {', '.join(network.outputs)}")
    return 0
