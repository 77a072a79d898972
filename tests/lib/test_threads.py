"""MXNet uses every core unless told otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fullconv.lib.environment import physical_cores

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = [
    *sorted((ROOT / "experiments").glob("*/*.py")),
    *sorted(ROOT.glob("*/demo.py")),
    # Peers of the benchmarks run in a Python of their own, which has PyTorch and no MXNet.
    *(path for path in sorted((ROOT / "benchmarks").glob("*.py")) if "\nimport torch" not in path.read_text()),
]
AT_IMPORT = """
import os, runpy, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "mxnet":
            print("threads", os.environ.get("OMP_NUM_THREADS"))

sys.meta_path.insert(0, Watch())
runpy.run_path(sys.argv[1], run_name="imported")
"""


def threads(**environment):
    clean = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", "import fullconv, os; print(os.environ['OMP_NUM_THREADS'])"]
    return int(subprocess.run(command, env={**clean, **environment}, cwd=ROOT, capture_output=True, check=True).stdout)


def test_all_cores_by_default_and_the_users_number_otherwise():
    assert threads() == physical_cores() <= len(os.sched_getaffinity(0))
    assert threads(OMP_NUM_THREADS="7") == 7


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_they_are_set_before_mxnet_is_imported(program):
    """MXNet reads their number once, when it is loaded."""
    clean = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", AT_IMPORT, str(program)]
    result = subprocess.run(command, env=clean, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    if "threads" in result.stdout:
        assert result.stdout.split()[:2] == ["threads", str(physical_cores())]
