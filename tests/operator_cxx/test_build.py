"""The build's behaviour: quick when there is nothing to do, one clear line when something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from fullconv.operator_cxx import build, c_library, library_path


@pytest.fixture()
def lines() -> List[str]:
    return []


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.BuildError, match=r"no C\+\+ compiler \(g\+\+\) found: install one"):
        build.build()


def test_no_mxnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(build.BuildError, match="MXNet is not installed for this Python: run `sh init.sh`"):
        build.build()


def test_unknown_operator() -> None:
    with pytest.raises(build.BuildError, match="--only psroi: no such operator folder; there are .*psroi_pooling"):
        build.build(only=["psroi"], cuda=False)


def test_compile_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cc"
    broken.write_text("int main() { return missing; }\n")
    with pytest.raises(build.BuildError, match=r"compiling .*broken.cc failed \(exit status 1\):(.|\n)*missing"):
        build._run([build.find_compiler(), "-c", str(broken), "-o", str(tmp_path / "x.o")], f"compiling {broken}")


def test_disk_full(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, stdout="fatal error: error writing to x.o: No space left on device")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(build.BuildError, match=r"the disk is full \(compiling x.cc\): free some space and try again"):
        build._run(["g++"], "compiling x.cc")


def test_failures_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert build.main([]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_build_then_nothing_to_do(tmp_path: Path, lines: List[str]) -> None:
    """One operator, linked elsewhere; its own folder's objects are compiled at most once."""
    out = tmp_path / "libsmall.so"
    for _ in range(2):
        build.build(out, only=["channel_operator"], cuda=False, say=lines.append)
    assert out.is_file() and lines[-1].endswith("is up to date")


def installed(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`import fullconv.lib.operators` of a copy that lies as pip would lay it: inside a package, without sources."""
    package = folder / "site" / "fullconv"
    for name in ("fullconv", "lib", "operator_cxx"):
        target = package if name == "fullconv" else package / name
        shutil.copytree(build.ROOT / name, target, ignore=shutil.ignore_patterns("libfullconv*"), dirs_exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), **variables}
    words = [sys.executable, "-c", "import fullconv.lib.operators as o; print(o.__file__, o.c_library()._name)"]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_an_installed_package_that_lost_its_library_says_so(tmp_path: Path) -> None:
    done = installed(tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("FileNotFoundError: the operator library ") and "lies installed in" in last
    assert "pip install --force-reinstall" in last and "FULLCONV_LIBRARY" in last


def test_an_installed_package_takes_a_checkouts_library(tmp_path: Path) -> None:
    done = installed(tmp_path, FULLCONV_LIBRARY=str(library_path()))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "site/fullconv/lib/operators/__init__.py"), str(library_path())]


def test_library_says_whether_it_has_cuda() -> None:
    assert library_path().is_file() and c_library().fullconv_has_cuda() in (0, 1)


def test_headers_of_other_operators_count() -> None:
    """What an object file is named by: the proposal operator uses nms's headers, and through them common's."""
    found = {
        str(path.relative_to(build.ROOT)) for path in build._included(build.ROOT / "operator_cxx/proposal/proposal.cc")
    }
    assert {"operator_cxx/nms/nms.h", "operator_cxx/nms/iou.h", "operator_cxx/common/backend.h"} <= found
    assert not any("/ohem/" in path for path in found)
