"""A reader understands a file in one sitting and a function at a glance: both have a limit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    "fullconv",
    "lib",
    "fcis",
    "fcn",
    "fcos",
    "instancefcn",
    "operator_cxx",
    "experiments",
    "benchmarks",
)
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 350, 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_and_no_function_is_too_long(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LINES
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= FUNCTION_LINES}
    assert not long


def test_the_script_of_the_checks_uses_the_one_import_name():
    assert "from fullconv.operator_cxx import" in (ROOT / ".ci" / "run").read_text()
