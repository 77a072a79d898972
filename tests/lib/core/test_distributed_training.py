"""The real scripts by two processes: the numbers of one process, one set of files, resuming after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from fullconv.lib.core import checkpoint
from tests.methods import cases

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(
    not util.find_spec("mpi4py") or not list(Path(sys.prefix).glob("lib/libmpi*")),
    reason="pip install mpi4py mpich to run several processes",
)

FCIS = {
    "cfg": "fcis/cfgs/resnet_small_shapes_fcis.yaml",
    "out": "output_path",
    "kvstore": "default.kvstore",
    "script": "experiments/fcis/fcis_end2end_train_test.py",
    "alone": {"TRAIN.grad_accumulate": 2},
    "prefix": "train5/e2e",
    "keys": {
        "dataset.image_set": "train5",
        "dataset.test_image_set": "val1",
        "SCALES": "64,80",
        # Five images for updates of two: the last of each epoch's order is left out.
        "TRAIN.FLIP": "false",
        "TRAIN.end_epoch": 2,
    },
}
FCN = {
    "cfg": "fcn/cfgs/shapes_fcn.yaml",
    "out": "output_path",
    "kvstore": "default.kvstore",
    "script": "-m fullconv.fcn.train_end2end",
    "alone": {"TRAIN.iter_size": 2},
    "prefix": "train6/voc-fcn16s",
    "keys": {**cases.FCN.keys, "dataset.test_image_set": "val3", "network.dropout": 0},
}
FCOS = {
    "cfg": "fcos/cfgs/shapes_fcos.yaml",
    "out": "OUTPUT_DIR",
    "kvstore": "RUN.kvstore",
    "script": "-m fullconv.fcos.train_end2end",
    "alone": {"RUN.devices": "cpu:2"},
    "prefix": "train6/model",
    "keys": {
        "DATASETS.TRAIN": "['train6']",
        "RUN.devices": "cpu",
        "INPUT.MIN_SIZE_TRAIN": "[64,80]",
        "MODEL.FCOS.NUM_CONVS": 1,
        "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 32,
        "SOLVER.OPTIMIZER": "torch_sgd",
        # One image for each process, or both for the one: the losses are divided by numbers of both.
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.IMS_PER_DEVICE": 1,
        "SOLVER.MAX_ITER": 4,
        "SOLVER.CHECKPOINT_PERIOD": 2,
        "SOLVER.STEPS": "[3]",
    },
}


def command(method, folder, out, processes=1, extra=(), **changes):
    """What a person types. changes: keys with __ for the dot. Every run makes the embedded set for itself."""
    data = "DATA" if method is FCOS else "dataset"
    keys = {
        **method["keys"],
        method["out"]: out,
        f"{data}.root_path": folder,
        f"{data}.dataset_path": folder / "shapes",
    }
    keys.update({method["kvstore"]: "mpi"} if processes > 1 else method["alone"])
    keys.update({key.replace("__", "."): value for key, value in changes.items()})
    script = method["script"].split()
    words = ["--cfg", f"experiments/{method['cfg']}", "--frequent", 1, *extra]
    words += ["--set", *(word for pair in keys.items() for word in pair)]
    launch = ["-m", "fullconv.lib.tools.launch", "-n", processes, "--"] if processes > 1 else []
    python = [sys.executable] if launch else []
    if launch and script[0] != "-m":
        python = []
    return list(map(str, [sys.executable, *launch, *python, *script, *words]))


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(*args, status=0, **options):
    done = subprocess.run(
        command(*args, **options), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def prefix(method, out):
    return str(Path(out) / Path(method["cfg"]).stem / method["prefix"])


def arrays(method, out, number):
    args, aux = checkpoint.load_params(prefix(method, out), number)
    return {name: array.asnumpy() for name, array in {**args, **aux}.items()}


def records(method, out):
    """Lines of the newest jsonl file of a run: what was measured, without times."""
    files = sorted(Path(prefix(method, out)).parent.glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "samples_per_sec"} for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(folder):
    """FCIS by two processes, to the end; what they said."""
    return run(FCIS, folder, folder / "two", processes=2)


def assert_same_run(method, folder, one, two):
    number = checkpoint.latest(prefix(method, one))
    assert number == checkpoint.latest(prefix(method, two)) == 2
    expected, got = arrays(method, one, number), arrays(method, two, number)
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-5 * np.abs(array).max(), err_msg=name)
    for mine, theirs in zip(records(method, one), records(method, two)):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5, nan_ok=True)


def test_fcis_is_the_same_by_two_processes(folder, two):
    run(FCIS, folder, folder / "one")
    assert_same_run(FCIS, folder, folder / "one", folder / "two")


@pytest.mark.parametrize("method", [FCN, FCOS], ids=["fcn", "fcos"])
def test_others_are_the_same_by_two_processes(folder, method):
    name = Path(method["cfg"]).stem
    run(method, folder, folder / f"{name}-one")
    run(method, folder, folder / f"{name}-two", processes=2)
    assert_same_run(method, folder, folder / f"{name}-one", folder / f"{name}-two")


def test_only_the_first_process_writes_and_tests(folder, two):
    there = Path(prefix(FCIS, folder / "two")).parent
    assert len(list(there.glob("*.log"))) == len(list(there.glob("*.jsonl"))) == 1
    assert "2 per update" in two and two.count("Epoch[0] Batch [1]") == 1 and two.count("saved ") == 2
    assert len(list(there.parent.glob("val1/*.log"))) == 1
    assert not list((folder / "two").rglob("*.lock")) and not list((folder / "two").rglob("*.tmp"))


def test_a_kill_ends_all_and_the_run_goes_on_as_if_it_had_not_been(folder, two):
    out = folder / "killed"
    begun = subprocess.Popen(
        command(FCIS, folder, out, processes=2, TRAIN__end_epoch=1000),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("saved " in line for line in begun.stdout)
    children = Path(f"/proc/{begun.pid}/task/{begun.pid}/children").read_text().split()
    victim = next(pid for pid in children if b"PMI_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    killed = time.monotonic()
    os.kill(int(victim), signal.SIGKILL)
    _, errors = begun.communicate(timeout=60)
    assert begun.returncode == 137 and time.monotonic() - killed < 30
    assert f"process 1 (pid {victim}) was killed by SIGKILL; all 2 processes are ended" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    if checkpoint.latest(prefix(FCIS, out)) == 1:
        said = run(FCIS, folder, out, processes=2, extra=["--resume"])
        assert len(re.findall("resumed from .*e2e-0001.resume after update 2", said)) == 1
    whole, resumed = arrays(FCIS, folder / "two", 2), arrays(FCIS, out, 2)
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def test_processes_with_other_settings_are_refused(folder):
    words = command(FCIS, folder, folder / "odd", processes=2)
    place = words.index("--") + 1
    # What each machine would have in a file of its own.
    words[place:] = ["sh", "-c", 'exec "$@" TRAIN.lr 0.00$((PMI_RANK + 1))', "sh", sys.executable, *words[place:]]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and re.search(r"process 1 of 2 on \S+ trains with other TRAIN.lr than process 0", said)
    assert not list((folder / "odd").rglob("*.params"))


def test_every_script_that_trains_and_tests_tests_in_one_process():
    """`then=`: what follows the training is the first process's."""
    scripts = sorted((ROOT / "experiments").glob("*/*_train_test.py"))
    assert len(scripts) >= 3
    assert [script.name for script in scripts if "train, then=test)" not in script.read_text()] == []
