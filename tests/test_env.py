"""lib.env: a report whatever is broken, and the comparison of requirements with what is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fullconv.lib import env

ROOT = Path(__file__).resolve().parents[1]


def test_report_names_what_a_bug_report_needs():
    done = subprocess.run(
        [sys.executable, "-m", "fullconv.lib.env"], cwd=ROOT, text=True, capture_output=True, timeout=120, check=True
    )
    for word in ("numpy 1.23.5", "mxnet", "1.9.1", "cores", "GiB", "cpu(0): works", "operators", "threads"):
        assert word in done.stdout


def test_nothing_stops_the_report(monkeypatch):
    def broken():
        raise RuntimeError("no such thing\nsecond line")

    monkeypatch.setattr(env, "FACTS", (("first", broken), ("second", lambda: ["a", "b"])))
    assert list(env.report()) == [
        ("first", "unknown (RuntimeError: no such thing)"),
        ("second", "a"),
        ("second", "b"),
    ]


def test_runs_without_any_package(tmp_path):
    """As init.sh calls it in a fresh environment: nothing beyond the standard library is importable."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from fullconv.lib import env; sys.exit(env.main([]))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)], cwd=tmp_path, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 0 and "unknown (ModuleNotFoundError" in done.stdout, done.stderr


def test_operator_library_not_built(monkeypatch, tmp_path):
    monkeypatch.setenv("FULLCONV_LIBRARY", str(tmp_path / "absent.so"))
    lines = dict(env.report())
    assert "absent.so" in lines["operators"] and "init.sh" in lines["operators"]


@pytest.mark.parametrize(
    "capability, bad", [(" 8.6", False), ("8.9", False), (" 9.0", True), ("12.0", True), ("x", False)]
)
def test_gpus_beyond_the_wheels_are_named(capability, bad):
    verdict = env.capability_verdict(capability)
    assert ("no code for sm_" in verdict) == bad
    assert not bad or capability.strip().replace(".", "") in verdict


def test_missing_and_other_versions(tmp_path, capsys):
    path = tmp_path / "requirements.txt"
    path.write_text('# comment\nnumpy==1.0\nno-such-package==2\npytest\nabsent==1 ; python_version < "3"\n')
    assert env.main(["--missing", str(path)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("numpy==1.0 (1.23.5 is installed") and out[1] == "no-such-package==2 (not installed)"
    assert len(out) == 2
    path.write_text("pytest\n")
    assert env.main(["--missing", str(path)]) == 0
