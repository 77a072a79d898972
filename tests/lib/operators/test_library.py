"""Loading the operators into MXNet: once, in any order of imports, with clear words when it cannot be."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Dict, List

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib import operators
from fullconv.lib.operators import library, selftest
from fullconv.lib.operators.psroi_pooling import psroi_pooling
from fullconv.operator_cxx.build import find_compiler

ROOT = Path(__file__).resolve().parents[3]
GROUP_MAX = "mx.sym.contrib.ChannelOperator(x, op_type='Group_Max', group=1)"
FAN_OUT = f"""
x = mx.sym.Variable('x') * 1
e = mx.sym.add_n(*[{GROUP_MAX} for _ in range(12)]).simple_bind(mx.cpu(), x=(1, 1, 1, 1))
e.forward(is_train=True); e.backward(mx.nd.ones((1, 1, 1, 1))); print(e.grad_dict['x'].asnumpy().sum())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if key != "MXNET_EXEC_INPLACE_GRAD_SUM_CAP"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True
    )


def test_reload_any_number_of_times() -> None:
    for _ in range(4):
        importlib.reload(library)
        importlib.reload(operators)
    assert mx.nd.contrib.ChannelOperator(mx.nd.ones((1, 2, 1, 1)), op_type="Group_Max", group=1).shape == (1, 1, 1, 1)


@pytest.mark.parametrize(
    "first", ["import mxnet as mx; import fullconv.lib.operators", "import fullconv.lib.operators, mxnet as mx"]
)
def test_order_of_imports(first: str) -> None:
    done = run(first + FAN_OUT)
    assert (done.stdout.split(), done.stderr) == (["12.0"], "")


def test_bound_too_early_is_reported() -> None:
    early = "x = mx.sym.Variable('x'); (x * 2).simple_bind(mx.cpu(), x=(1,)).backward(mx.nd.ones((1,)))"
    done = run(f"import mxnet as mx\n{early}\nimport fullconv.lib.operators\n")
    assert "RuntimeWarning: MXNet bound an executor before fullconv.lib.operators was imported" in done.stderr


def test_missing_library() -> None:
    done = run("import fullconv.lib.operators", FULLCONV_LIBRARY="/nowhere/libfullconv.so")
    assert done.returncode != 0
    assert "the operator library /nowhere/libfullconv.so does not exist: run `sh init.sh`" in done.stderr


def test_not_a_library(tmp_path: Path) -> None:
    damaged = tmp_path / "libfullconv.so"
    damaged.write_bytes(b"\x7fELF, but cut short")
    done = run("import fullconv.lib.operators", FULLCONV_LIBRARY=str(damaged))
    assert f"cannot load {damaged}" in done.stderr and "Rebuild it with `sh init.sh`" in done.stderr


OTHER_LIBRARIES = {
    "an older interface": (
        'extern "C" int _opVersion() { return 10; }',
        "Library version (10) does not match MXNet version (11)",
    ),
    "a newer interface": (
        'extern "C" int _opVersion() { return 12; }',
        "Library version (12) does not match MXNet version (11)",
    ),
    "no interface": ('extern "C" int fullconv_zero_cpu() { return 0; }', "undefined symbol: _opVersion"),
    "a missing symbol": ('extern "C" int absent(); extern "C" int _opVersion() { return absent(); }', "absent"),
}


@pytest.mark.parametrize("kind", OTHER_LIBRARIES)
def test_a_library_for_another_mxnet(tmp_path: Path, kind: str) -> None:
    """It is refused with MXNet's reason and the remedy, and MXNet works on. A relative path is one from here."""
    source, reason = OTHER_LIBRARIES[kind]
    (tmp_path / "other.cc").write_text(source)
    subprocess.run(
        [find_compiler(), "-shared", "-fPIC", "-o", str(tmp_path / "other.so"), str(tmp_path / "other.cc")], check=True
    )
    code = """
import mxnet as mx
try:
    import fullconv.lib.operators
except RuntimeError as error:
    print(error, mx.nd.ones((3,)).sum().asscalar())
"""
    done = run(code, FULLCONV_LIBRARY=os.path.relpath(tmp_path / "other.so", ROOT))
    assert done.returncode == 0, done.stderr
    expected = f"cannot load {tmp_path / 'other.so'}: "
    assert expected in done.stdout and reason in done.stdout, done.stdout
    assert done.stdout.endswith("Rebuild it with `sh init.sh` 3.0\n")


def test_names_existing_code_uses() -> None:
    x, label = mx.sym.Variable("x"), mx.sym.Variable("label")
    for module in (mx.sym.contrib, mx.contrib.sym):
        picked = module.ChannelOperator(
            name="p", pick_idx=label, data=x, op_type="Group_Pick", group=3, pick_type="Label_Pick"
        )
        assert picked.list_arguments() == ["x", "label"] and picked.list_outputs() == ["p_output"]
        again = mx.sym.load_json(picked.tojson())
        assert again.infer_shape(x=(4, 6, 2, 2), label=(4, 1, 1, 1))[1] == [(4, 2, 2, 2)]
        assert again.tojson() == picked.tojson()
    for module in (mx.nd.contrib, mx.contrib.nd):
        assert module.ChannelOperator(data=mx.nd.ones((1, 4, 2, 2)), op_type="Group_Max", group=2).shape == (1, 2, 2, 2)


def test_errors_name_the_operator() -> None:
    with pytest.raises(mx.MXNetError, match="fullconv_psroi_pooling: input data has shape"):
        psroi_pooling(mx.nd.ones((1, 3, 2, 2)), mx.nd.zeros((1, 5)), 1.0, 2, 2, 1).wait_to_read()
    with pytest.raises(mx.MXNetError, match="input data is not float32"):
        psroi_pooling(mx.nd.ones((1, 2, 2, 2), dtype="float64"), mx.nd.zeros((1, 5)), 1.0, 2, 2, 1).wait_to_read()


def pool_on(device: int, seed: int, results: Dict[int, List[np.ndarray]]) -> None:
    random = np.random.RandomState(seed)
    x, rois = mx.sym.Variable("x"), mx.sym.Variable("rois")
    with mx.Context("cpu", device):
        executor = psroi_pooling(x, rois, 1.0, 20, 6, 3).simple_bind(mx.cpu(device), x=(2, 180, 9, 9), rois=(5, 5))
        found = []
        for _ in range(10):
            box = np.sort(random.randint(0, 9, (5, 2, 2)), 1).reshape(5, 4)
            arrays = random.randn(2, 180, 9, 9), np.concatenate([random.randint(0, 2, (5, 1)), box], 1)
            out = executor.forward(is_train=True, **{k: mx.nd.array(a) for k, a in zip(("x", "rois"), arrays)})[0]
            executor.backward(out)
            found += [out.asnumpy(), executor.grad_dict["x"].asnumpy()]
    results[seed] = found


def test_two_devices_at_once() -> None:
    """Threads with an executor each compute what they compute alone."""
    alone: Dict[int, List[np.ndarray]] = {}
    together: Dict[int, List[np.ndarray]] = {}
    for seed in (0, 1):
        pool_on(0, seed, alone)
    threads = [threading.Thread(target=pool_on, args=(seed, seed, together)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (0, 1):
        for a, b in zip(alone[seed], together[seed]):
            np.testing.assert_array_equal(a, b)


def test_selftest_covers_every_operator() -> None:
    assert set(selftest.CHECKS) == set(library.registered())
    assert all(check() for check in selftest.CHECKS.values())
