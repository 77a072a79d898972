"""Damaged checksum files and states of a run, with a method made of lib alone."""

import json
import os
import re
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core import checkpoint, run_record
from fullconv.lib.core.checked_file import write_recorded
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.experiment.class_file import check_classes, write_classes
from tests.lib import test_third_method as tiny
from tests.lib.test_third_method import Test as TinyTest
from tests.lib.test_third_method import arrays, train
from tests.lib.test_third_method import folder as folder  # noqa: F401 (the fixture)


@pytest.fixture
def go(monkeypatch, folder, tmp_path, capfd, caplog):
    """go(words) trains as the script does -> (exit code, everything written)."""
    monkeypatch.setattr(tiny, "REPEATS", 2)  # short epochs

    def go(*words, stages=(train,)):
        caplog.clear()
        try:
            tiny.run(monkeypatch, folder, tmp_path, *map(str, words), "every", "24", stages=stages)
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, "".join(capfd.readouterr()) + caplog.text

    return go


@pytest.fixture
def trained(go, tmp_path):
    """Prefix of a run of two epochs."""
    assert go("epochs", 2)[0] == 0
    return str(tmp_path / "tiny" / "train" / "tiny")


def flip(path):
    content = bytearray(Path(path).read_bytes())
    content[200] ^= 1
    Path(path).write_bytes(content)


@pytest.mark.parametrize("content", ["", "damage", None], ids=["empty", "damaged", "absent"])
def test_a_lost_checksum_file_neither_hides_damage_nor_stops_a_run(go, trained, content):
    for kind in ("params", "resume"):
        sidecar = Path(f"{trained}-0002.{kind}.sha256")
        sidecar.unlink() if content is None else sidecar.write_text(content)
    assert checkpoint.latest(trained) == checkpoint.latest(trained, resumable=True) == 2
    flip(f"{trained}-0002.params")
    flip(f"{trained}-0002.resume")
    assert checkpoint.latest(trained) == checkpoint.latest(trained, resumable=True) == 1
    code, text = go("--resume", "epochs", 2)
    assert code == 0 and "sha256 differs" in text and "tiny-0001.resume" in text, text
    assert checkpoint.latest(trained) == checkpoint.latest(trained, resumable=True) == 2


def test_a_damaged_checksum_file_without_a_record_does_not_stop_a_run_that_saves_again(go, trained):
    os.unlink(run_record.record_path(trained))
    Path(f"{trained}-0002.params.sha256").write_text("")
    os.unlink(f"{trained}-0002.resume")
    code, text = go("--resume", "epochs", 2)
    assert code == 0, text
    assert checkpoint.latest(trained) == 2


def test_states_that_are_all_damaged_are_named(go, trained):
    for epoch in (1, 2):
        flip(f"{trained}-{epoch:04d}.resume")
    code, text = go("--resume", "epochs", 3)
    assert code == 1 and "nothing to resume from: those of epochs 1, 2 are damaged" in text, text
    assert "the weights of epochs 1, 2 are there" in text


@pytest.mark.parametrize(
    "progress, found",
    [({}, "None"), ({"num_update": float("nan")}, "nan"), ({"num_update": "24"}, "'24'"), ({"num_update": -1}, "-1")],
)
def test_a_state_that_does_not_say_how_far_it_is(go, trained, progress, found):
    state = checkpoint.load_state(trained, 2)
    checkpoint.save_state(trained, 2, state.momentum, progress, (state.arg_params, state.aux_params))
    code, text = go("--resume", "epochs", 3)
    assert code == 1 and f"0002.resume: num_update, the updates done, is {found}" in text, text


def test_a_state_of_other_shapes(go, trained):
    state = checkpoint.load_state(trained, 2)
    momentum = {name: array.reshape((-1, 1)) for name, array in state.momentum.items()}
    checkpoint.save_state(trained, 2, momentum, state.progress, (state.arg_params, state.aux_params))
    code, text = go("--resume", "epochs", 3)
    assert code == 1 and "the saved state is another optimizer's" in text, text


def test_weights_alone_are_resumed_by_number_and_it_is_said(go, trained, tmp_path):
    class Resumed(tiny.Training):
        def start_weights(self):
            self.begun = self.restore(1)

    def from_one(run):
        training = Resumed(run)
        training.start_weights()
        assert training.begun == 1 and training.trainer.num_update == 24
        assert not any(array.asnumpy().any() for array in training.trainer.get_optimizer_state().values())
        weights = arrays(tmp_path / "tiny", 1)
        for name, array in training.trainer.get_params()[0].items():
            np.testing.assert_array_equal(array.asnumpy(), weights[name])

    os.unlink(f"{trained}-0001.resume")
    code, text = go(stages=[from_one])
    assert code == 0 and "tiny-0001.params: weights alone: momentum starts anew" in text, text


def test_a_run_that_goes_back_does_not_count_what_it_wrote_later(go, trained):
    def from_one(run):
        training = tiny.Training(run)
        training.restore(1)
        training.fit(tiny.MetricSet({}), ["loss"], tiny.MultiFactorSchedule(0.002), range(1, 1), 2)

    code, text = go(stages=[from_one])
    assert code == 0 and re.search(r"4 files .* are now in \S+-after-0001", text), text
    assert checkpoint.epochs(trained, every=True) == [1]
    assert set(run_record.read(trained).files) == {"tiny-0001.params", "tiny-0001.resume"}


def test_nan_weights_are_not_tested(go, trained):
    args, aux = checkpoint.load_params(trained, 2)
    args["box_bias"][:] = float("nan")
    named = {f"arg:{name}": array.asnumpy() for name, array in args.items()}
    write_recorded(trained, checkpoint.params_path(trained, 2), named)
    code, text = go(stages=(lambda run: TinyTest(run).run(),))
    assert code == 1 and "tiny-0002.params: NaN or infinite values in arg:box_bias: the training" in text, text
    assert "testing 12/12" not in text
    with pytest.raises(
        checkpoint.CheckpointError, match="the network's parameters: NaN or infinite values in box_bias"
    ):
        Predictor(tiny.network(), mx.cpu(), {"data": (1, 3, 32, 32)}, args, aux)


@pytest.mark.parametrize("policy, code", [("fail", 1), ("skip", 0)])
def test_a_damaged_image_ends_the_run_or_is_left_out(go, folder, tmp_path, policy, code):
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "train" / "3.png"
    path.write_bytes(path.read_bytes()[:60])

    def spoiled(run):
        run.config.data = str(copy)
        train(run)

    found, text = go("epochs", 1, "bad", policy, stages=[spoiled])
    assert found == code, text
    assert ("left out, 1 so far; the next batch takes its place: " in text) == (policy == "skip")
    assert "3.png" in text


def test_a_diverged_run_keeps_the_batch_and_the_state(go, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "MultiFactorSchedule", lambda lr: lambda update: 1e38)
    code, text = go("epochs", 2)
    path = tmp_path / "tiny" / "train" / "tiny-diverged.npz"
    assert code == 1 and f"The batch and the state are kept in {path}" in text, text
    with np.load(path) as kept:
        facts = json.loads(str(kept["json"]))
        assert facts["num_update"] == 24 and len(facts["images"]) == 1 and facts["not finite"]
        assert kept["batch0:data"].shape == (1, 3, 32, 32) and kept["batch0:target"].shape == (1, 4)
        assert {"arg", "momentum"} <= {name.split(":")[0] for name in kept.files}
        assert kept["arg:box_weight"].shape[0] == 4
    monkeypatch.undo()
    assert "moved aside" in go("epochs", 0)[1], "a later run must not be taken for the one that diverged"


def test_a_folder_that_is_removed_while_a_run_writes_there_is_mentioned(go, tmp_path, monkeypatch):
    save, folder = tiny.Training.save, tmp_path / "tiny" / "train"

    def remove_after_two(self, epoch):
        if epoch == 2:
            shutil.rmtree(folder)
        save(self, epoch)

    monkeypatch.setattr(tiny.Training, "save", remove_after_two)
    code, text = go("epochs", 4)
    assert code == 0 and f"{folder} was removed or emptied while the run wrote there; lost: tiny-0001.params" in text
    assert "was removed while it was written: the lines before this one are lost" in text
    assert checkpoint.epochs(str(folder / "tiny")) == [3, 4] and "saved" in next(folder.glob("*.log")).read_text()
    assert (folder / "tiny-config.yaml").is_file() and go("--resume", "epochs", 5)[0] == 0


def test_class_names_are_lines(tmp_path):
    for name in ("a\nb", "", "a\u2028b"):
        with pytest.raises(ValueError, match="it must be one line of text.*rename it in the data"):
            write_classes(tmp_path / "e2e", ["cat", name])
    write_classes(tmp_path / "e2e", ["cat", " dog "])
    check_classes(tmp_path / "e2e", ["cat", " dog "])
