"""Damage the files of every reader, many times: `python -m tests.fuzz [READER ...] [--files N] [--seconds S]`.

Prints a line for each reader, with the files that broke it, which are kept in `--keep`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import fullconv  # noqa: F401 (before MXNet, as the programs do)
from tests.fuzz.campaign import run
from tests.fuzz.readers import readers


def main() -> int:
    """Exit code 1 where a reader has a fault."""
    known = {reader.name: reader for reader in readers()}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="READER", help=f"of {', '.join(known)}; default all")
    parser.add_argument("--files", type=int, default=100_000, help="damaged files for each reader")
    parser.add_argument("--seconds", type=float, default=600, help="time for each reader")
    parser.add_argument("--keep", type=Path, help="folder for the files that have a fault")
    args = parser.parse_args()
    # Pixels cost memory whoever decodes them: with few of them, what a reader wastes besides can be seen.
    os.environ.setdefault("FULLCONV_MAX_PIXELS", "1000000")
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names or known:
            report = run(known[name], Path(folder), args.files, args.seconds, args.keep)
            print(report, flush=True)
            faults += len(report.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
