"""MXNet operators from operator_cxx/: importing this package loads them, once per process.

Import it before the first executor is bound: it sets what MXNet reads from the environment only then.
"""

from __future__ import annotations

from fullconv.lib.operators.library import c_library, invoke, load

__all__ = ["c_library", "invoke", "load"]

load()
