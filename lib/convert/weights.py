"""Weights from one form of file into another; the form is told by the ending.

    python -m fullconv.lib.convert.weights show FILE
    python -m fullconv.lib.convert.weights convert IN OUT [--dcn c3,c4,c5]

Read: `.pth` (PyTorch, both forms), `.pkl` (Detectron), `.npz` (MobileNetV2 with folded batch norms), `.params`,
`.safetensors`. Written: `.pth`, `.params`, `.safetensors`. Between the two stand arrays by `state_dict` name; a
`.params` file has ours (`lib.convert.state_dict`). Nothing in a file is executed, and PyTorch is not needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np

from fullconv.lib.convert import detectron, mobilenet, safetensors, torch_file, torch_writer
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.state_dict import STATES, model_of, ours, theirs
from fullconv.lib.core import checkpoint, params_file
from fullconv.lib.utils import atomic

Arrays = Dict[str, np.ndarray]
READ, WRITTEN = (".pth", ".pkl", ".npz", ".params", ".safetensors"), (".pth", ".params", ".safetensors")
STAGES = ("c2", "c3", "c4", "c5")


def read(path: str, stage_with_dcn: Sequence[bool] = (False,) * 4) -> Arrays:
    """Arrays of a file by `state_dict` name.

    stage_with_dcn: for c2 to c5, whether a Detectron file is read for a network with deformable convolutions there.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: another ending, or what the form's reader raises.
    """
    form = _form(path, READ, "read")
    if form == ".pth":
        return model_of(torch_file.read(path), path)
    if form == ".pkl":
        return detectron.rename(detectron.read(path), stage_with_dcn)
    if form == ".npz":
        arrays = mobilenet.read_npz(path)
        try:
            return mobilenet.unfold(arrays)
        except ConvertError as error:
            raise ConvertError(f"{path}: {error}") from None
    if form == ".safetensors":
        return model_of(safetensors.read(path), path)
    # Without arg: and aux:, which other forms do not have; the names' ends tell which is which.
    named = {name.split(":", 1)[-1]: array.asnumpy() for name, array in checkpoint.read_arrays(path).items()}
    return {theirs(name): array for name, array in named.items()}


def write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by `state_dict` name; the file is whole or, if anything fails, as it was before.

    Raises:
        CheckpointError: another ending, NaN or infinite values, two arrays of one name, or a full disk.
    """
    form = _form(path, WRITTEN, "written")
    # A diverged network in a new file would look like a good one.
    bad = [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
    if bad:
        raise ConvertError(
            f"{path}: not written: NaN or infinite values in {', '.join(bad[:5])}; take another checkpoint"
        )
    if form == ".params":
        _write_params(path, arrays)
    else:
        (torch_writer if form == ".pth" else safetensors).write(path, arrays)


def _write_params(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    named = {ours(name): array for name, array in arrays.items()}
    if len(named) != len(arrays):
        raise ConvertError(f"{path}: not written: two arrays get the same name; the names are no state_dict's")
    prefixed = {f"{'aux' if name.endswith(STATES) else 'arg'}:{name}": array for name, array in named.items()}
    try:
        atomic.write(path, lambda file: params_file.write(file, prefixed), checksum=True)
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConvertError(f"{path}: cannot be written: {reason}; nothing was left behind") from None


def _form(path: str, forms: Sequence[str], done: str) -> str:
    form = os.path.splitext(path)[1].lower()
    if form not in forms:
        raise ConvertError(f"{path}: {form or 'no ending'}: {', '.join(forms)} can be {done}")
    return form


def describe(path: str) -> str:
    """One line an array, and the totals."""
    arrays = read(path)
    lines = [f"{name:60} {str(array.dtype):8} {_shape(array)}" for name, array in arrays.items()]
    return "\n".join([*lines, f"{len(arrays)} arrays, {sum(array.size for array in arrays.values())} numbers"])


def _shape(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape)) or "scalar"


def _stages(text: str) -> List[bool]:
    names = [name for name in text.split(",") if name]
    if not set(names) <= set(STAGES):
        raise argparse.ArgumentTypeError(f"{text!r}: stages are {', '.join(STAGES)}")
    return [stage in names for stage in STAGES]


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; errors are one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m fullconv.lib.convert.weights", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="list the arrays of a file")
    show.add_argument("file")
    convert = commands.add_parser("convert", help="write the arrays of a file in another form")
    convert.add_argument("source", metavar="IN", help=", ".join(READ))
    convert.add_argument("target", metavar="OUT", help=", ".join(WRITTEN))
    convert.add_argument("--dcn", type=_stages, default=_stages(""), help=".pkl: stages with deformable convolutions")
    args = parser.parse_args(argv)
    try:
        if args.command == "show":
            print(describe(args.file))
        else:
            # Before a file of half a gigabyte is read for nothing.
            _form(args.target, WRITTEN, "written")
            arrays = read(args.source, args.dcn)
            write(args.target, arrays)
            print(f"{args.target}: {len(arrays)} arrays")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
