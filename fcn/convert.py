"""Weights of FCN networks: from Caffe's files or our own into a network, and out to Caffe's and OpenCV's.

    python -m fullconv.fcn.convert import voc-fcn8s fcn8s-heavy-pascal.caffemodel model/fcn8s
    python -m fullconv.fcn.convert start voc-fcn16s model/fcn16s-start voc-fcn32s.caffemodel
    python -m fullconv.fcn.convert start nyud-fcn32s-color-hha model/start color.caffemodel hha.caffemodel
    python -m fullconv.fcn.convert export voc-fcn8s model/fcn8s-0000.params out/fcn8s --size 500 500
    python -m fullconv.fcn.convert solver solver.prototxt > my.yaml

Checkpoints are written as epoch 0 of a prefix: `<prefix>-0000.params`.
"""

from __future__ import annotations

import argparse
import sys
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from fullconv.fcn import solver
from fullconv.fcn.symbols import FCN, build, initial_params, network_of
from fullconv.lib.convert import caffe, surgery
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.named_params import read_weights
from fullconv.lib.core import checkpoint
from fullconv.lib.network.caffe.layer import without

Params = Dict[str, np.ndarray]


def load_exactly(name: str, path: str) -> Tuple[FCN, Params]:
    """The network called `name` at the size of the weights in `path`, and these, strictly matched.

    Raises:
        KeyError: no such network.
        ValueError: the file is damaged, or holds another network's weights; everything that does not fit is listed.
    """
    build(name)
    params = read_weights(path)
    net = network_of(name, params)
    return net, caffe.match(params, net.param_shapes(), path)


def start_from(net: FCN, sources: Sequence[str], skip: Iterable[str] = (), seed: int = 0) -> Tuple[Params, List[str]]:
    """Weights a training starts from, as the published scripts prepare them, and a line of log per array.

    sources: files of `read_weights`; for a network of two trunks one each, colour first. Layers are copied by name,
    fully connected ones become convolutions, a depth channel starts from the mean of the colours, upsampling is
    bilinear unless it learns, all else is as `initial_params` has it (scores zero). skip: layers to leave so, for
    example the scores of another class count.

    Raises:
        ConvertError: the number of files is wrong, nothing fits, or sizes differ.
    """
    streams = net.network.streams
    if len(sources) != len(streams):
        raise ConvertError(f"{len(streams)} weight files are needed, {len(sources)} given")
    fresh, log = initial_params(net, seed), []
    params = fresh
    for path, suffix in zip(sources, streams):
        old = read_weights(path)
        params, lines = surgery.transplant(params, old, suffix, skip)
        if not any(line.startswith(("copying", "coercing")) for line in lines):
            raise ConvertError(f"{path}: no layer of it is in the network; is it the right file?")
        first = net.network.first
        if first != "conv1_1" and f"{first}_weight" not in old and "conv1_1_weight" in old:
            params = surgery.add_depth(params, old, first)
            lines.append(f"extending conv1_1  ->  {first}")
        log += lines
    if not net.learn_upsampling:
        fixed = [name for layer in net.layers if layer.type == "Deconvolution" for name in layer.array_names()]
        params = {**params, **{name: fresh[name] for name in fixed}}
    return params, log


def export(net: FCN, params: Params, prefix: str, height: int, width: int) -> List[str]:
    """Write `<prefix>.prototxt` (for an image of this size) and `<prefix>.caffemodel`: `lib.convert.caffe.export`."""
    return caffe.export(without(net.layers, "Dropout"), params, prefix, net.data_shapes(height, width))


# ------------------------------------------------------------------------------------------- command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fullconv.fcn.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("import", help="a network's own weights, strictly")
    start = commands.add_parser("start", help="starting weights from another network's")
    out = commands.add_parser("export", help="deploy prototxt and caffemodel")
    for command in (load, start, out):
        command.add_argument("network", help="for example voc-fcn8s")
    load.add_argument("weights")
    load.add_argument("prefix")
    start.add_argument("prefix")
    start.add_argument("weights", nargs="+")
    start.add_argument("--classes", type=int, nargs="+", default=(), help="per label map, if not the published ones")
    start.add_argument("--width", type=float, default=1.0)
    start.add_argument("--hidden", type=int, default=4096)
    start.add_argument("--skip", nargs="+", default=(), help="layers to start anew, for example score_fr")
    solver_command = commands.add_parser("solver", help="a Caffe solver as a yaml of ours, on standard output")
    solver_command.add_argument("file")
    solver_command.add_argument("--net", help="the network's prototxt, if not where the solver says")
    out.add_argument("weights")
    out.add_argument("prefix")
    out.add_argument("--size", type=int, nargs=2, default=(500, 500), metavar=("HEIGHT", "WIDTH"))
    return parser


def _run(args: argparse.Namespace) -> None:
    if args.command == "solver":
        print(solver.to_yaml(args.file, args.net), end="")
        return
    if args.command == "start":
        net = build(args.network, args.classes, width=args.width, hidden=args.hidden)
        params, log = start_from(net, args.weights, args.skip)
        print("\n".join(log))
    else:
        net, params = load_exactly(args.network, args.weights)
    if args.command == "export":
        print("\n".join(export(net, params, args.prefix, *args.size)))
    else:
        print(checkpoint.save_params(args.prefix, 0, net.test_symbol(), params, {}))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; errors are on stderr and the exit code is 1."""
    try:
        _run(_parser().parse_args(argv))
    except (ValueError, KeyError, OSError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
