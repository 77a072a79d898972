"""Who may import whom: the order of lib's folders as CONTRIBUTING.md states it, methods apart from each other, and one
name for every module."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
MARK = "**Order of lib**"
SHARED = ("lib", "operator_cxx")
METHODS = sorted(
    folder.parent.name for folder in ROOT.glob("*/__init__.py") if folder.parent.name not in (*SHARED, "fullconv")
)
FILES = sorted(
    path
    for folder in (*SHARED, *METHODS, "fullconv", "experiments", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)


def stated_order() -> List[str]:
    """The folders (and single modules) of lib, in the order of the line below the mark in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"{re.escape(MARK)}[^\n]*\n\s+([a-z_, ]+)\n", text)
    return line.split(", ")


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names of everything a file imports, `from a import b` as `a.b`, wherever in it they stand."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def place(name: str) -> Tuple[str, str]:
    """(top, folder of lib or "") of a dotted name: `fullconv.lib.mask.encode` -> ("lib", "mask")."""
    words = [*name.split("."), "", ""]
    return (words[1], words[2] if words[1] == "lib" else "") if words[0] == "fullconv" else ("", "")


def complaints(path: Path, source: str, order: List[str]) -> Iterator[str]:
    """What is wrong with the imports of a file at `path` below the root."""
    dotted = ".".join(["fullconv", *path.with_suffix("").parts])
    top, room = place(dotted)
    for name in imports(source, dotted.rpartition(".")[0]):
        wanted, wanted_room = place(name)
        if name.split(".")[0] in (*SHARED, *METHODS):
            yield f"imports {name} under its bare name: it is fullconv.{name}"
        elif top in (*SHARED, *METHODS) and wanted in METHODS and wanted != top:
            yield f"imports {name}: {'methods do not import each other' if top in METHODS else 'a method'}"
        elif top == "operator_cxx" and wanted == "lib":
            yield f"imports {name}, which stands above operator_cxx"
        elif top == "lib" and wanted_room and wanted_room not in order[: order.index(room) + 1]:
            yield f"imports {name}: {room} stands before {wanted_room} in the order of lib"
        elif top == "lib" and room == "structures" and not wanted and not _plain(name):
            yield f"imports {name}: structures need numpy alone"


def _plain(name: str) -> bool:
    """Whether a name is of Python's library or numpy."""
    top = name.split(".")[0]
    known = getattr(sys, "stdlib_module_names", ())  # Python 3.8 and 3.9 do not tell
    return top in ("numpy", *known) or not known


def test_the_order_names_everything_in_lib_once():
    found = {path.stem if path.is_file() else path.name for path in (ROOT / "lib").iterdir() if _is_code(path)}
    order = stated_order()
    assert sorted(order) == sorted(found) and len(order) == len(set(order))


def _is_code(path: Path) -> bool:
    return (path / "__init__.py").is_file() or (path.suffix == ".py" and path.stem != "__init__")


def test_every_import_keeps_the_order():
    order, wrong = stated_order(), []
    assert METHODS and len(FILES) > 100
    for file in FILES:
        path = file.relative_to(ROOT)
        wrong += [f"{path}: {text}" for text in complaints(path, file.read_text(encoding="utf-8"), order)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "path, source, message",
    [
        ("lib/mask/a.py", "from fullconv.lib.dataset.image import read_image", "mask stands before dataset"),
        ("lib/mask/a.py", "def f():\n    import fullconv.lib.dataset.image", "mask stands before dataset"),
        ("lib/mask/a.py", "from fullconv.lib import tools", "mask stands before tools"),
        ("lib/mask/a.py", "from ..dataset import image", "mask stands before dataset"),
        ("lib/env.py", "import fullconv.fcis.config", "a method"),
        ("fcn/a.py", "from fullconv.fcis import config", "methods do not import each other"),
        ("fcos/a.py", "from fullconv.fcn import config", "methods do not import each other"),
        ("operator_cxx/a.py", "from fullconv.lib.utils import atomic", "stands above operator_cxx"),
        ("tests/a.py", "import lib.utils.atomic", "lib.utils.atomic under its bare name"),
        ("experiments/fcis/a.py", "from fcis import config", "fcis.config under its bare name"),
    ],
)
def test_wrong_imports_are_found(path, source, message):
    found = list(complaints(Path(path), source, stated_order()))
    assert len(found) == 1 and message in found[0]


@pytest.mark.skipif(not hasattr(sys, "stdlib_module_names"), reason="this Python does not list its own modules")
def test_structures_need_numpy_alone():
    found = list(complaints(Path("lib/structures/a.py"), "import cv2\nimport numpy, os", stated_order()))
    assert found == ["imports cv2: structures need numpy alone"]


@pytest.mark.parametrize(
    "path, source",
    [
        ("lib/dataset/a.py", "from fullconv.lib.mask import encode\nfrom fullconv.lib.dataset.image import read_image"),
        ("fcn/a.py", "from fullconv.fcn import config\nfrom fullconv.lib.tools import check\nimport numpy"),
        ("experiments/fcis/a.py", "from fullconv.fcis import config"),
    ],
)
def test_right_imports_pass(path, source):
    assert list(complaints(Path(path), source, stated_order())) == []
