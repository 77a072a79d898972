"""One form into another, and the command that does it."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

from fullconv.lib.convert import torch_writer, weights
from fullconv.lib.core import checkpoint
from fullconv.lib.core.params_file import CheckpointError

ARRAYS = {
    "backbone.body.stem.conv1.weight": np.arange(24, dtype="f4").reshape(2, 3, 2, 2),
    "backbone.body.stem.bn1.running_mean": np.array([0.5, -1], "f4"),
    "rpn.head.cls_logits.bias": np.array([1.5], "f4"),
    "rpn.head.scales.0.scale": np.array([1], "f8"),
    "rpn.head.half.weight": np.array([[1.5]], "f2"),
}


def same(got, expected):
    assert set(got) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype and got[name].shape == array.shape


@pytest.mark.parametrize("forms", list(itertools.permutations(weights.WRITTEN)))
def test_round_trips(forms, tmp_path):
    arrays = ARRAYS
    for form in (*forms, forms[0]):
        path = str(tmp_path / f"model{form}")
        weights.write(path, arrays)
        arrays = weights.read(path)
        same(arrays, ARRAYS)


def test_our_names_stand_in_a_params_file(tmp_path):
    weights.write(str(tmp_path / "fcos-0000.params"), ARRAYS)
    args, auxs = checkpoint.load_params(str(tmp_path / "fcos"), 0)
    assert set(auxs) == {"backbone.body.stem.bn1_running_mean"}
    assert "rpn.head.scales.0_scale" in args and len(args) == 4


def test_the_command_converts_and_lists(tmp_path, capsys):
    source, target = str(tmp_path / "a.pth"), str(tmp_path / "b.safetensors")
    torch_writer.write(source, {f"module.{name}": array for name, array in ARRAYS.items()})
    assert weights.main(["convert", source, target]) == 0
    assert capsys.readouterr().out == f"{target}: 5 arrays\n"
    same(weights.read(target), ARRAYS)
    assert weights.main(["show", target]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "backbone.body.stem.conv1.weight" in "".join(lines) and "2x3x2x2" in "".join(lines)
    assert lines[-1] == "5 arrays, 29 numbers"


def test_the_command_renames_detectron_files(tmp_path):
    source, target = str(tmp_path / "R-50.pkl"), str(tmp_path / "r50-0000.params")
    blobs = {"res3_0_branch2b_w": np.ones((2, 2, 3, 3), "f4"), "conv1_w": np.ones((2, 3, 7, 7), "f4")}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"blobs": blobs}, 2))
    assert weights.main(["convert", source, target, "--dcn", "c3,c4,c5"]) == 0
    assert set(weights.read(target)) == {"layer2.0.conv2.conv.weight", "conv1.weight"}
    with pytest.raises(SystemExit):
        weights.main(["convert", source, target, "--dcn", "c1"])


def test_the_command_unfolds_mobilenet(tmp_path):
    source, target = str(tmp_path / "mobilenet.npz"), str(tmp_path / "m-0000.params")
    np.savez(source, **{"features.0.0.weight": np.ones((2, 3, 3, 3), "f4"), "features.0.0.bias": np.ones(2, "f4")})
    assert weights.main(["convert", source, target]) == 0
    args, auxs = checkpoint.load_params(str(tmp_path / "m"), 0)
    assert set(args) == {"features.0.0_weight", "features.0.1_weight", "features.0.1_bias"}
    assert set(auxs) == {"features.0.1_running_mean", "features.0.1_running_var"}


@pytest.mark.parametrize(
    "names, match",
    [
        (("absent.pth", "b.params"), "absent.pth: no such file"),
        (("a.pth", "b.pkl"), "b.pkl: .pkl: .pth, .params, .safetensors can be written"),
        (("a.onnx", "b.pth"), "a.onnx: .onnx: .pth, .pkl, .npz, .params, .safetensors can be read"),
        (("a", "b.pth"), "a: no ending"),
        (("bad.pth", "b.params"), "bad.pth: no PyTorch file that can be read"),
        (("bad.npz", "b.params"), "bad.npz: no npz file"),
        (("other.npz", "b.params"), "other.npz: no features"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, names, match):
    torch_writer.write(str(tmp_path / "a.pth"), ARRAYS)
    (tmp_path / "bad.pth").write_bytes(b"hello")
    (tmp_path / "bad.npz").write_bytes(b"hello")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    assert weights.main(["convert", *(str(tmp_path / name) for name in names)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and match in error and error.count("\n") == 1
    assert not (tmp_path / "b.params").exists() and not (tmp_path / "b.pkl").exists()


@pytest.mark.parametrize("form", weights.WRITTEN)
def test_diverged_weights_are_not_written(form, tmp_path):
    path = tmp_path / f"model{form}"
    path.write_bytes(b"before")
    with pytest.raises(CheckpointError, match="NaN or infinite values in b.weight"):
        weights.write(str(path), {"a.weight": np.ones(1), "b.weight": np.array([np.nan])})
    assert path.read_bytes() == b"before"


def test_what_a_params_file_cannot_hold(tmp_path):
    path = tmp_path / "model.params"
    with pytest.raises(CheckpointError, match="cannot be written: arg:a_weight: .* cannot be stored"):
        weights.write(str(path), {"a.weight": np.zeros((0, 2))})
    with pytest.raises(CheckpointError, match="two arrays get the same name"):
        weights.write(str(path), {"a.weight": np.ones(1), "a_weight": np.ones(1)})
    assert not path.exists()
