"""C++/CUDA operators, one folder each, which `python -m fullconv.operator_cxx.build` makes one MXNet extension library.

`c_library()` opens that library's plain C interface, which needs no MXNet.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

__all__ = ["c_library", "library_path"]

if __name__ != "fullconv.operator_cxx":  # a second copy under another name would have its own classes and errors
    raise ImportError("this folder is imported as fullconv.operator_cxx: python -m fullconv.operator_cxx.build")

CHECKOUT = "run `sh init.sh` (or `python -m fullconv.operator_cxx.build`)"
INSTALLED = (
    "fullconv lies installed in {root}, and its wheel came with one. Install it again (`pip install --force-reinstall "
    "--no-deps`), or set FULLCONV_LIBRARY to the lib/operators/libfullconv.so of a checkout of the same version"
)


def library_path() -> Path:
    """Where the built library is: `$FULLCONV_LIBRARY`, or lib/operators/libfullconv.so.

    Raises FileNotFoundError, naming the file and the remedy, when it has not been built.
    """
    root = Path(__file__).resolve().parents[1]
    default = root / "lib" / "operators" / "libfullconv.so"
    # Resolved, because MXNet wants an absolute path, and to know a library that is loaded under another spelling.
    path = Path(os.environ.get("FULLCONV_LIBRARY", default)).resolve()
    if not path.is_file():
        given = ", or unset FULLCONV_LIBRARY, which names it" if "FULLCONV_LIBRARY" in os.environ else ""
        # Only a checkout has the sources, so only it can build one.
        remedy = CHECKOUT if (root / "init.sh").is_file() else INSTALLED.format(root=root)
        raise FileNotFoundError(f"the operator library {path} does not exist: {remedy}{given}")
    return path


def c_library() -> ctypes.CDLL:
    """The library as a ctypes handle, for `fullconv_<operator>_{cpu,cuda}(pointers, sizes, ..., stream)`.

    Raises FileNotFoundError when it has not been built.
    """
    # The system opens a library once: where MXNet has loaded it, this is the same one.
    return ctypes.CDLL(str(library_path()))
