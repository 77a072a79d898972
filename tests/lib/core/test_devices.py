"""Options to devices."""

import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

from fullconv.lib.core import devices
from fullconv.lib.core.devices import RANDOM_STATES, choose_devices, parse_devices
from fullconv.lib.environment import physical_cores

ROOT = Path(__file__).resolve().parents[3]

THREADS = """
import ctypes, os
import fullconv
import mxnet as mx
from fullconv.lib.core import devices

contexts = devices.parse_devices(devices="cpu:2")
openmp = ctypes.CDLL("libgomp.so.1")
seen = []
ask = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: seen.append(openmp.omp_get_max_threads()))
for context in contexts:
    devices.run_on(context, ask)
mx.nd.waitall()
print(seen, os.environ["MXNET_CPU_PARALLEL_RAND_COPY"])
"""


def test_processors():
    assert parse_devices() == [mx.cpu(0)]
    assert parse_devices(devices="cpu") == [mx.cpu(0)]
    assert parse_devices(gpus="0,1", devices="cpu:3") == [mx.cpu(0), mx.cpu(1), mx.cpu(2)]


@pytest.mark.parametrize("threads, each", [("8", 4), ("3", 1), ("1", 1)])
def test_processor_devices_share_the_threads(threads, each):
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    environment.pop("MXNET_CPU_PARALLEL_RAND_COPY", None)
    result = subprocess.run([sys.executable, "-c", THREADS], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.split("\n")[0] == f"[{each}, {each}] {2 * RANDOM_STATES}", result.stderr


@pytest.mark.parametrize("threads", ["", "0", "many"])
def test_threads_that_are_no_number_are_as_many_as_cores(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert devices._threads() == physical_cores()


RANDOM_STATES_TAKEN = """
import os
from pathlib import Path
import {program}
from fullconv.lib.core.devices import parse_devices
import mxnet as mx

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

before = resident()
parse_devices(devices="cpu:2")
mx.random.seed(1)
mx.nd.waitall()
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "program", ["fullconv.fcis.train_end2end", "fullconv.fcn.train_end2end", "fullconv.fcos.train_end2end"]
)
def test_a_programs_imports_leave_the_number_of_random_states_open(program):
    """One is more than 2 MB. If an import makes MXNet make them, devices share one, and run one after the other."""
    code = RANDOM_STATES_TAKEN.format(program=program)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MXNET_")}
    result = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert int(result.stdout) > 2 * 2 * RANDOM_STATES, result.stderr


@pytest.mark.parametrize("options", [{"devices": "tpu"}, {"devices": "cpu:x"}, {"devices": "cpu:0"}, {"gpus": "0;1"}])
def test_nonsense_is_named(options):
    with pytest.raises(ValueError, match=next(iter(options.values())).replace("+", "")):
        parse_devices(**options)


@pytest.mark.skipif(mx.context.num_gpus() > 0, reason="needs a machine without GPU")
def test_without_gpu_the_published_setting_runs_on_one_processor_and_says_so(capsys):
    assert choose_devices(gpus="0,1,2,3") == ([mx.cpu(0)], 4)
    assert "one CPU device will do, in training with 4 times as many batches" in capsys.readouterr().out
    with pytest.raises(ValueError, match="lib.env"):
        parse_devices(devices="gpu:0")


@pytest.mark.parametrize(
    "gpus, available, used, times",
    [
        ("0,1,2,3,4,5,6,7", 8, [0, 1, 2, 3, 4, 5, 6, 7], 1),
        ("0,1,2,3,4,5,6,7", 4, [0, 1, 2, 3], 2),
        ("0,1,2,3,4,5,6,7", 3, [0, 1], 4),
        ("0,1,2,3", 1, [0], 4),
        ("0,1,2", 2, [0], 3),
        ("2,3", 3, [0, 2], 1),
        ("5", 2, [0], 1),
    ],
)
def test_gpus_that_are_there_stand_in_for_those_of_the_config(monkeypatch, capsys, gpus, available, used, times):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: available)
    found = choose_devices(gpus)
    assert {context.device_type for context in found.contexts} == {"gpu"}, "never a processor where there is a GPU"
    assert sorted(context.device_id for context in found.contexts) == used and found.accumulate == times
    assert len(found.contexts) * times == len(gpus.split(",")), "the same batches make an update"
    text = capsys.readouterr().out
    assert (f"MXNet sees {available}" in text) == (available <= max(map(int, gpus.split(","))))


def test_a_gpu_twice_is_refused():
    with pytest.raises(ValueError, match=r"gpus \[0, 0\]: each GPU once"):
        choose_devices("0,0")
