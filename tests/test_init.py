"""init.sh with stand-ins for Python, pip and the compiler: what it calls and what it says when one is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = "sh dirname basename cat grep awk df tail head tr wc cksum uname rm mkdir cp chmod ln echo printf sed".split()

# Answers as a Python would, and writes down what it was asked.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >>"$CALLS"
case $* in
  *'"%d.%d"'*) echo "${FAKE_VERSION:-3.11}" ;;
  *ensurepip*) [ -z "${NO_VENV:-}" ] ;;
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *'get_path("include")'*) echo "$INCLUDE" ;;
  *"lib.env --missing"*)
    if [ -e .venv/installed ]; then exit 0; fi
    echo 'numpy==1.23.5 (1.26.0 is installed)'
    exit 1 ;;
  *"pip"*" install "*)
    if [ -n "${PIP_SAYS:-}" ]; then echo "$PIP_SAYS"; exit 1; fi
    : >.venv/installed ;;
  *libcuda*) [ -z "${NO_DRIVER:-}" ] ;;
  *setup.py*) [ -z "${CYTHON_SAYS:-}" ] || { echo "$CYTHON_SAYS"; exit 1; } ;;
  *operator_cxx.build*) [ -z "${BUILD_FAILS:-}" ] || { echo "operators: no"; exit 1; } ;;
  *selftest*) [ -z "${TEST_FAILS:-}" ] ;;
esac
"""


class Sandbox:
    """A copy of init.sh in a folder of its own, run with nothing on PATH but what is put there."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.bin, self.calls = folder / "a b" / "repo", folder / "bin", folder / "calls"
        self.repository.mkdir(parents=True)
        self.bin.mkdir()
        for name in ("init.sh", "requirements.txt", "requirements-gpu.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, self.repository)
        for tool in TOOLS:
            path = shutil.which(tool)
            if path:
                (self.bin / tool).symlink_to(path)
        (folder / "include").mkdir()
        (folder / "include" / "Python.h").write_text("")
        self.calls.write_text("")
        self.environment = {"PATH": str(self.bin), "CALLS": str(self.calls), "HOME": str(folder)}
        self.environment["INCLUDE"] = str(folder / "include")

    def put(self, name: str, text: str) -> Path:
        path = self.bin / name
        if path.is_symlink():
            path.unlink()
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess:
        self.calls.write_text("")
        command = [self.bin / "sh", self.repository / "init.sh", *options]
        return subprocess.run(
            command, env={**self.environment, **environment}, cwd="/", text=True, capture_output=True, timeout=60
        )

    def refuses(self, *options: str, **environment: str) -> str:
        """The one line that says what is wrong."""
        done = self.run(*options, **environment)
        assert done.returncode != 0
        errors = [line for line in done.stderr.splitlines() if line.startswith("init.sh: error: ")]
        assert len(errors) == 1 and done.stderr.splitlines()[-1] == errors[0], done.stderr
        return errors[0]


@pytest.fixture
def empty(tmp_path):
    """No Python and no compiler."""
    return Sandbox(tmp_path)


@pytest.fixture
def machine(empty):
    """Everything there."""
    empty.put("python3", FAKE_PYTHON)
    empty.put("g++", "#!/bin/sh\n")
    return empty


def test_everything_in_order_then_nothing_twice(machine):
    done = machine.run()
    assert done.returncode == 0, done.stderr
    steps = ("-m venv", "pip --disable", "setup.py", "operator_cxx.build", "lib.operators.selftest")
    places = [machine.calls.read_text().index(step) for step in steps]
    assert places == sorted(places) and "numpy==1.23.5 (1.26.0 is installed)" in done.stdout
    assert "fcis_end2end_train_test.py" in done.stdout
    assert machine.run().returncode == 0
    again = machine.calls.read_text()
    assert all(step not in again for step in ("-m venv", " install ", "selftest", "--force"))


def test_requirements_of_tests_are_installed_too(machine):
    machine.run()
    install = next(line for line in machine.calls.read_text().splitlines() if " install " in line)
    assert "-r requirements.txt" in install and "-r requirements-dev.txt" in install and "gpu" not in install


def test_gpu_replaces_mxnet_and_stays(machine):
    machine.run()
    (machine.repository / ".venv" / "installed").unlink()
    assert machine.run("--gpu").returncode == 0
    calls = machine.calls.read_text()
    assert "uninstall -y mxnet mxnet-cu112" in calls and "-r requirements-gpu.txt" in calls
    common = (machine.repository / ".venv" / "requirements.txt").read_text()
    assert "numpy==" in common and "\nmxnet==" not in common
    assert machine.run().returncode == 0 and "requirements-gpu.txt" in machine.calls.read_text()
    assert machine.run("--cpu").returncode == 0 and "requirements-gpu.txt" not in machine.calls.read_text()


def test_gpu_without_a_driver_is_refused_before_the_download(machine):
    assert "no NVIDIA driver here (libcuda.so.1)" in machine.refuses("--gpu", NO_DRIVER="1")
    assert " install " not in machine.calls.read_text()


def test_another_processor_rebuilds_cython(machine):
    machine.run()
    (machine.repository / ".venv" / "processor").write_text("another")
    machine.run()
    assert "--force" in machine.calls.read_text()


def test_help_and_unknown_options(empty):
    assert "--gpu" in empty.run("--help").stdout
    assert "unknown option --fast" in empty.refuses("--fast")


def test_no_compiler(empty):
    empty.put("python3", FAKE_PYTHON)
    assert "no C++ compiler (g++): install one" in empty.refuses()


def test_no_python(empty):
    empty.put("g++", "#!/bin/sh\n")
    assert "no Python 3.8, 3.9, 3.10 or 3.11 found (python3 is: absent)" in empty.refuses()


def test_wrong_python_is_named(machine):
    line = machine.refuses(FAKE_VERSION="3.13")
    assert "python3 is: 3.13" in line and "--python PATH" in line
    assert "not a Python 3.8 to 3.11 (it says: 3.13)" in machine.refuses("--python", "python3", FAKE_VERSION="3.13")
    assert "--python needs" in machine.refuses("--python")
    assert "it says: nothing" in machine.refuses("--python", "/absent/python")


def test_a_fitting_python_with_venv_is_preferred(machine):
    machine.put("python3.11", FAKE_PYTHON.replace("*ensurepip*) ", "*ensurepip*) exit 1; "))
    assert "making .venv with python3 (" in machine.run().stdout


def test_python_of_pyenv_is_found_behind_a_broken_shim(machine):
    machine.put("python3", "#!/bin/sh\necho 'pyenv: not found' >&2\nexit 127\n")
    home = Path(machine.environment["HOME"]) / ".pyenv" / "versions" / "3.9.18" / "bin"
    home.mkdir(parents=True)
    shutil.copy(machine.put("other", FAKE_PYTHON), home / "python")
    assert "3.9.18/bin/python" in machine.run(FAKE_VERSION="3.9").stdout


def test_venv_module_or_headers_missing(machine):
    assert "install its venv module" in machine.refuses(NO_VENV="1")
    assert "Python.h is missing" in machine.refuses(INCLUDE="/absent")


def test_full_disk_before_and_during_the_install(machine):
    assert "the disk is full" in machine.refuses(PIP_SAYS="OSError: [Errno 28] No space left on device")
    machine.put("df", "#!/bin/sh\necho head\necho / 1 1 20480 1 /\n")
    assert "has 20 MB free" in machine.refuses()


def test_no_network(machine):
    says = "ERROR: Could not find a version that satisfies x\nERROR: No matching distribution found for x"
    assert "could not be fetched" in machine.refuses(PIP_SAYS=says)
    assert "No matching distribution found for x" in machine.refuses(PIP_SAYS=says)


def test_failures_of_later_steps_end_the_run(machine):
    assert "pip failed" in machine.refuses(PIP_SAYS="whatever")
    assert "disk is full" in machine.refuses(CYTHON_SAYS="No space left on device")
    assert "Cython modules failed" in machine.refuses(CYTHON_SAYS="error: x.pyx:1")
    assert "operators could not be built" in machine.refuses(BUILD_FAILS="1")
    assert "self-test failed" in machine.refuses(TEST_FAILS="1")
    assert machine.run().returncode == 0


def test_a_broken_environment_is_made_again(machine):
    machine.run()
    (machine.repository / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    assert "making .venv" in machine.run().stdout


def test_pins_are_exact():
    for name in ("requirements.txt", "requirements-gpu.txt", "requirements-dev.txt"):
        lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
        assert all("==" in line.split(";")[0] for line in lines if line), name
