"""Files are read in the few places that check them: nothing is unpickled, executed, fetched or unpacked elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("fullconv", "lib", "fcis", "fcn", "fcos", "instancefcn", "operator_cxx", "experiments")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "tarfile", "shutil.unpack_archive"}
"""Unpicklers, and what unpacks archives to where they say."""
NETWORK = {"urllib", "requests", "http", "ftplib", "socketserver", "smtplib"}
CALLS = {
    # an allow-list of operators would be needed before a foreign graph is loaded; none is
    "sym.load",
    "sym.load_json",
    "symbol.load",
    "symbol.load_json",
    "model.load_checkpoint",
    "SymbolBlock.imports",
    "Module.load",
    # MXNet's own states are pickles
    "load_optimizer_states",
    "set_states",
    "load_states",
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
    "yaml.safe_load",
    "Image.open",
    "nd.load",
    "hickle.load",
    "extractall",
    "extract",
    "eval",
    "exec",
    "os.system",
    "os.popen",
}
PLACES = {
    "Image.open": "lib/dataset/image.py",  # with a list of formats and a limit of pixels
    "nd.load": "lib/core/checked_file.py",  # behind a walk through the file
    "sym.load_json": "lib/core/joint_batch.py",  # of a graph that this process made, no file's
}


def dotted(node):
    """`a.b.c` of an expression, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def found_in(source):
    """Names of forbidden calls and imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES | NETWORK)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES | NETWORK:
            yield node.module
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            yield from (call for call in CALLS if name == call or name.endswith(f".{call}"))
            if name in ("np.load", "numpy.load") and "allow_pickle=False" not in ast.unparse(node):
                yield "np.load with pickles"


@pytest.mark.skipif(not hasattr(ast, "unparse"), reason="Python 3.8 writes no source")
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_read_where_they_are_checked(path):
    place = path.relative_to(ROOT).as_posix()
    assert not [name for name in found_in(path.read_text(encoding="utf-8")) if PLACES.get(name) != place]


@pytest.mark.skipif(not hasattr(ast, "unparse"), reason="Python 3.8 writes no source")
@pytest.mark.parametrize(
    "line",
    ["import pickle", "mx.sym.load('a')", "np.load('a')", "eval('1')", "os.system('a')", "from urllib import request"],
)
def test_what_is_looked_for_is_found(line):
    assert list(found_in(line))
