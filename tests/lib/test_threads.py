"""MXNet uses every core unless told otherwise."""

import os
import subprocess
import sys

import lib


def threads(**environment):
    clean = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", "import lib, os; print(os.environ['OMP_NUM_THREADS'])"]
    return int(subprocess.run(command, env={**clean, **environment}, capture_output=True, check=True).stdout)


def test_all_cores_by_default_and_the_users_number_otherwise():
    assert threads() == lib.physical_cores() <= len(os.sched_getaffinity(0))
    assert threads(OMP_NUM_THREADS="7") == 7
