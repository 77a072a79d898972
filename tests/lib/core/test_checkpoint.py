"""lib.core.checkpoint: the original's form, and never a damaged or half-written file."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core import checkpoint, params_file
from fullconv.lib.core.checkpoint import CheckpointError

ROOT = Path(__file__).resolve().parents[3]


def arrays(seed=0, size=3):
    rng = np.random.RandomState(seed)
    args = {
        "conv1_weight": rng.randn(4, size, 3, 3),
        "conv1_bias": rng.randn(4),
        "head_weight": rng.randn(42, 4),
    }
    auxs = {"bn_moving_mean": rng.randn(4)}
    return [{name: mx.nd.array(value) for name, value in group.items()} for group in (args, auxs)]


def same(left, right):
    return left.keys() == right.keys() and all((left[n].asnumpy() == right[n].asnumpy()).all() for n in left)


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / "e2e")


def save(prefix, epoch=1, seed=0, state=True):
    args, auxs = arrays(seed)
    checkpoint.save_params(prefix, epoch, mx.sym.Variable("data"), args, auxs)
    if state:
        checkpoint.save_state(prefix, epoch, args, {"num_update": epoch * 10})
    return args, auxs


# ---------------------------------------------------------------------------------------------------- the form


def test_files_are_mxnet_s_own(prefix, tmp_path):
    args, auxs = save(prefix)
    named = {**{f"arg:{n}": v for n, v in args.items()}, **{f"aux:{n}": v for n, v in auxs.items()}}
    mx.nd.save(str(tmp_path / "theirs"), named)
    assert Path(f"{prefix}-0001.params").read_bytes() == (tmp_path / "theirs").read_bytes()
    symbol, theirs, aux_theirs = mx.model.load_checkpoint(prefix, 1)
    assert same(theirs, args) and same(aux_theirs, auxs) and symbol.list_arguments() == ["data"]


def test_sha256sum_agrees(prefix, tmp_path):
    save(prefix)
    subprocess.run(["sha256sum", "-c", "--quiet", "e2e-0001.params.sha256"], cwd=tmp_path, check=True)


def test_published_files_without_checksum_load(prefix):
    args, auxs = arrays()
    args["fcis_bbox_weight"], args["fcis_bbox_weight_test"] = mx.nd.ones((2, 2)), mx.nd.zeros((2, 2))
    named = {**{f"arg:{n}": v for n, v in args.items()}, **{f"aux:{n}": v for n, v in auxs.items()}}
    mx.nd.save(f"{prefix}-0000.params", named)
    raw, _ = checkpoint.load_params(prefix, 0)
    folded, _ = checkpoint.load_params(prefix, 0, process=True)
    assert raw["fcis_bbox_weight"].asnumpy().all() and "fcis_bbox_weight_test" in raw
    assert not folded["fcis_bbox_weight"].asnumpy().any() and "fcis_bbox_weight_test" not in folded


def test_file_of_another_mxnet_scans_and_loads(data_dir):
    for path in (data_dir / "mxnet").glob("*.params"):
        loaded = checkpoint.read_arrays(str(path))
        scanned = params_file.scan(str(path))
        assert {name: entry.shape for name, entry in scanned.items()} == {n: a.shape for n, a in loaded.items()}


def test_arrays_of_mxnet_before_1_0_scan(tmp_path):
    path = tmp_path / "old.params"
    head, name = np.array([0x112, 0, 1], "<u8").tobytes(), np.array([1, 5], "<u8").tobytes() + b"arg:w"
    header = np.array([2, 3, 2, 1, 0, 0], "<u4").tobytes()  # dimensions, shape, context, type
    path.write_bytes(head + header + np.ones(6, "<f4").tobytes() + name)
    assert params_file.scan(str(path)) == {"arg:w": ((3, 2), np.dtype("float32"))}
    assert checkpoint.load_params(str(tmp_path / "old"), 0)[0] if (tmp_path / "old-0000.params").exists() else True
    assert checkpoint.read_arrays(str(path))["arg:w"].shape == (3, 2)


# --------------------------------------------------------------------------------------------------- damage


def test_every_truncation_is_refused(prefix):
    save(prefix)
    path = Path(f"{prefix}-0001.params")
    content = path.read_bytes()
    os.unlink(f"{path}.sha256")
    for length in [0, 1, 7, 23, *range(24, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"e2e-0001\.params: .*fetch the file again"):
            checkpoint.load_params(prefix, 1)


def test_every_flipped_byte_is_refused(prefix):
    save(prefix)
    path = Path(f"{prefix}-0001.params")
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 11):
        content[place] ^= 0x10
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"e2e-0001\.params"):
            checkpoint.verify(str(path))
        content[place] ^= 0x10


def test_damaged_headers_without_checksum_never_crash(prefix):
    save(prefix)
    path = Path(f"{prefix}-0001.params")
    content, rng = path.read_bytes(), random.Random(0)
    os.unlink(f"{path}.sha256")
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.choice([rng.randrange(80), rng.randrange(len(content))])] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            checkpoint.load_params(prefix, 1)
        except CheckpointError as error:
            assert "e2e-0001.params" in str(error)


@pytest.mark.parametrize(
    "content, word",
    [
        (b"", "empty"),
        (b"PK\x03\x04....", "PyTorch"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"<!DOCTYPE html>", "download failed"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"hello world, this is text", "no MXNet parameter file"),
    ],
)
def test_foreign_files_are_named(content, word, prefix):
    Path(f"{prefix}-0000.params").write_bytes(content)
    with pytest.raises(CheckpointError, match=word):
        checkpoint.load_params(prefix, 0)


def test_arrays_that_are_no_checkpoint(prefix):
    mx.nd.save(f"{prefix}-0000.params", {"weight": mx.nd.ones(1)})
    with pytest.raises(CheckpointError, match="weight are neither arg: nor aux:"):
        checkpoint.load_params(prefix, 0)
    mx.nd.save(f"{prefix}-0000.params", [mx.nd.ones(1)])
    with pytest.raises(CheckpointError, match="1 arrays have 0 names"):
        checkpoint.load_params(prefix, 0)


def test_absent_epoch_names_those_there(prefix):
    save(prefix, 2, state=False)
    with pytest.raises(CheckpointError, match=r"e2e-0003\.params: no such file; epochs there: 2"):
        checkpoint.load_params(prefix, 3)


def test_damaged_checksum_file_is_named(prefix):
    save(prefix)
    Path(f"{prefix}-0001.params.sha256").write_text("")
    with pytest.raises(CheckpointError, match="delete it"):
        checkpoint.load_params(prefix, 1)


# ---------------------------------------------------------------------------------------------------- writing


def test_nan_is_not_written(prefix):
    args, auxs = save(prefix)
    args["conv1_bias"][0] = float("nan")
    with pytest.raises(CheckpointError, match="arg:conv1_bias"):
        checkpoint.save_params(prefix, 1, None, args, auxs)
    assert np.isfinite(checkpoint.load_params(prefix, 1)[0]["conv1_bias"].asnumpy()).all()


def test_full_disk_leaves_the_old_file(prefix, tmp_path):
    args, auxs = save(prefix, seed=1)
    before = sorted(os.listdir(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(CheckpointError, match=r"e2e-0001\.params: cannot be written: .*intact.*free some space"):
            checkpoint.save_params(prefix, 1, None, *arrays(2))
        with pytest.raises(CheckpointError, match=r"e2e-0002\.params: .*nothing was left behind"):
            checkpoint.save_params(prefix, 2, None, *arrays(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same(checkpoint.load_params(prefix, 1)[0], args) and sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("step", ["sidecar", "replace", "after"])
def test_killed_at_any_step_of_a_replacement_one_content_is_valid(prefix, step, monkeypatch):
    """Simulates the kill by an exception that no cleanup survives, at each boundary in `atomic.write`."""
    old, _ = save(prefix, seed=1, state=False)
    replace, path = os.replace, f"{prefix}-0001.params"

    def stop(source, target):
        if step == "sidecar" and target.endswith(".sha256") or step == "replace" and target == path:
            raise KeyboardInterrupt
        replace(source, target)
        if step == "after" and target == path:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_params(prefix, 1, None, *arrays(2))
    monkeypatch.undo()
    expected = arrays(2)[0] if step == "after" else old
    assert same(checkpoint.load_params(prefix, 1)[0], expected) and checkpoint.latest(prefix) == 1


WRITER = """
import sys
import numpy as np
from fullconv.lib.core import checkpoint
prefix, step = sys.argv[1], 0
while True:
    step += 1
    args = {"w": np.full((64, 1024), step, np.float32)}
    checkpoint.save_params(prefix, 1 + step // 5, None, args, {})
    checkpoint.save_state(prefix, 1 + step // 5, args, {"step": step})
    print(step, flush=True)
"""


def test_kill_minus_nine_always_leaves_a_checkpoint(prefix):
    rng = random.Random(1)
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, prefix], cwd=ROOT, stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        epoch = checkpoint.latest(prefix)
        weights = checkpoint.load_params(prefix, epoch)[0]["w"].asnumpy()
        assert (weights == weights[0, 0]).all()
        state = checkpoint.load_state(prefix)
        assert (state.momentum["w"].asnumpy() == state.progress["step"]).all()
        assert same(state.arg_params, {"w": state.momentum["w"]})


# --------------------------------------------------------------------------------------------------- resuming


def test_state_returns_what_was_saved(prefix):
    args, auxs = save(prefix, 3, state=False)
    rng = np.random.RandomState(7)
    checkpoint.save_state(prefix, 3, args, {"num_update": np.int64(5), "rng": rng.get_state()})
    state = checkpoint.load_state(prefix)
    assert (state.epoch, state.progress["num_update"]) == (3, 5)
    assert same(state.momentum, args) and same(state.arg_params, args) and same(state.aux_params, auxs)
    other = np.random.RandomState()
    other.set_state(tuple(state.progress["rng"]))
    assert other.randint(1 << 30) == rng.randint(1 << 30)


def test_state_between_epochs_carries_its_weights(prefix):
    args, auxs = arrays()
    checkpoint.save_state(prefix, 0, {}, {"batches": 4}, params=(args, auxs))
    state = checkpoint.load_state(prefix)
    assert same(state.arg_params, args) and same(state.aux_params, auxs) and state.progress == {"batches": 4}
    assert checkpoint.latest(prefix) is None


def test_newest_whole_one_is_chosen(prefix, caplog):
    assert checkpoint.latest(prefix) is None
    for epoch in (1, 2, 3):
        save(prefix, epoch, seed=epoch)
    for kind in ("params", "resume"):
        with open(f"{prefix}-0003.{kind}", "r+b") as file:
            file.truncate(100)
    assert checkpoint.latest(prefix) == 2 and checkpoint.load_state(prefix).epoch == 2
    assert "e2e-0003.params" in caplog.text


def test_a_state_is_whole_in_itself(prefix):
    args, _ = save(prefix, 1)
    save(prefix, 1, seed=5, state=False)
    assert same(checkpoint.load_state(prefix).arg_params, args)


def test_two_states_are_kept(prefix):
    for epoch in (1, 2, 3, 4):
        save(prefix, epoch)
    assert checkpoint.epochs(prefix, "resume") == [3, 4] and checkpoint.epochs(prefix) == [1, 2, 3, 4]


def test_nothing_to_resume_says_what_to_do(prefix):
    with pytest.raises(CheckpointError, match="start without --resume"):
        checkpoint.load_state(prefix)
    save(prefix, 1, state=False)
    with pytest.raises(CheckpointError, match="weights of epochs 1 are there.*TRAIN.RESUME true TRAIN.begin_epoch N"):
        checkpoint.load_state(prefix)
    assert checkpoint.load_state(prefix, 1).weights_alone


def test_a_resume_file_is_checked_too(prefix):
    args, _ = save(prefix)
    with pytest.raises(TypeError, match="object cannot be stored"):
        checkpoint.save_state(prefix, 1, args, {"x": object()})
    mx.nd.save(f"{prefix}-0001.resume", {"json": mx.nd.array([1, 2], dtype="uint8")})
    os.unlink(f"{prefix}-0001.resume.sha256")
    with pytest.raises(CheckpointError, match="no resume file"):
        checkpoint.load_state(prefix, 1)


def test_nan_in_a_file_is_named_whoever_reads_it(prefix):
    save(prefix)
    args, _ = arrays()
    args["head_weight"][0, 0] = float("inf")
    checkpoint.save_state(prefix, 1, args, {"num_update": 1})
    with pytest.raises(
        CheckpointError, match=r"0001.resume: NaN or infinite values in momentum:head_weight: .*diverged"
    ):
        checkpoint.load_state(prefix)
    mx.nd.save(f"{prefix}-0002.params", {f"arg:{name}": value for name, value in args.items()})
    with pytest.raises(CheckpointError, match=r"0002.params: NaN or infinite values in arg:head_weight"):
        checkpoint.load_params(prefix, 2)


def test_a_file_without_any_checksum_is_said_to_be_unchecked(prefix, caplog):
    save(prefix)
    caplog.set_level("INFO", "fullconv.lib")
    checkpoint.load_params(prefix, 1)
    assert "no checksum" not in caplog.text
    os.unlink(f"{prefix}-0001.params.sha256")
    checkpoint.load_params(prefix, 1)
    assert "e2e-0001.params: there is no checksum of it: damage inside of its numbers would go unnoticed" in caplog.text


def test_prune_keeps_the_newest(prefix, tmp_path):
    for epoch in (1, 2, 3):
        save(prefix, epoch)
    checkpoint.prune(prefix, 0)
    assert checkpoint.epochs(prefix) == [1, 2, 3]
    checkpoint.prune(prefix, 1)
    assert sorted(os.listdir(tmp_path)) == [
        "e2e-0003.params",
        "e2e-0003.params.sha256",
        "e2e-0003.resume",
        "e2e-0003.resume.sha256",
        "e2e-symbol.json",
    ]
