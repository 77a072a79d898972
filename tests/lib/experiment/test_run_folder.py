"""Several runs in one output folder, with a method made of lib alone: nothing of one is ever taken for another's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fullconv.lib.core import checkpoint, run_record
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.utils import atomic
from tests.lib import test_third_method as tiny
from tests.lib.test_third_method import Test as TinyTest
from tests.lib.test_third_method import arrays, run, train
from tests.lib.test_third_method import folder as folder  # noqa: F401 (the fixture)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def go(monkeypatch, folder, tmp_path, capfd, caplog):
    """go(words) trains as the script does -> (exit code, everything written)."""
    monkeypatch.setattr(tiny, "REPEATS", 2)  # short epochs

    def go(*words, stages=(train,)):
        caplog.clear()
        try:
            run(monkeypatch, folder, tmp_path, *map(str, words), "every", "24", stages=stages)
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, "".join(capfd.readouterr()) + caplog.text

    return go


def prefix(tmp_path):
    return str(tmp_path / "tiny" / "train" / "tiny")


def what_is_tested(go):
    return go(stages=(lambda run: print("tested", TinyTest(run).params_path),))[1]


def test_a_run_in_a_used_folder_moves_the_earlier_one_aside(go, tmp_path):
    go("epochs", 4)
    earlier = arrays(tmp_path / "tiny", 4)
    record = run_record.read(prefix(tmp_path))
    code, text = go("epochs", 3, "accumulate", 2)
    aside = Path(prefix(tmp_path)).parent / f"run-{record.started.split()[0]}-{record.id}"
    assert code == 0 and f"holds epochs 1 to 4 of tiny, {record}: moved aside" in text and str(aside) in text
    assert checkpoint.epochs(prefix(tmp_path)) == [1, 2, 3]
    assert checkpoint.epochs(prefix(tmp_path), "resume") == [2, 3], "the earlier run's would have been pruned instead"
    assert "tiny-0003.params, epoch 3 of run " in what_is_tested(go)
    checkpoint.verify(str(aside / "tiny-0004.params"))
    assert (checkpoint.load_params(str(aside / "tiny"), 4)[0]["box_bias"].asnumpy() == earlier["box_bias"]).all()
    assert {*record.logs, "tiny-run.json", "tiny-config.yaml", "tiny-curves.png"} <= {p.name for p in aside.iterdir()}


def test_kept_files_of_another_run_do_not_count(go, tmp_path):
    go("epochs", 4)
    code, text = go("--used", "keep", "epochs", 2, "accumulate", 2)
    assert code == 0 and "left there, not counted" in text
    assert checkpoint.epochs(prefix(tmp_path)) == [1, 2] == checkpoint.epochs(prefix(tmp_path), "resume")
    assert checkpoint.epochs(prefix(tmp_path), every=True) == [1, 2, 3, 4]
    assert epoch_to_test(prefix(tmp_path), 0, "") == 2
    with pytest.raises(checkpoint.CheckpointError, match=r"0004.params: of run \w+, but .*tiny-run.json is of run"):
        checkpoint.load_params(prefix(tmp_path), 4)
    code, text = go("--resume", "epochs", 3, "accumulate", 2)
    assert "resumed from" in text and "tiny-0002.resume" in text


def test_a_used_folder_can_be_refused(go, tmp_path):
    go("epochs", 1)
    before = sorted(path.name for path in Path(prefix(tmp_path)).parent.glob("tiny-*"))
    code, text = go("--used", "refuse", "epochs", 1)
    assert code == 1 and "holds epochs 1 to 1 of tiny, run" in text and "go on with --resume, set output_path" in text
    assert sorted(path.name for path in Path(prefix(tmp_path)).parent.glob("tiny-*")) == before


def test_resuming_a_run_that_was_killed_early_does_not_find_the_earlier_one(go, tmp_path):
    go("epochs", 2)
    for used in ("keep", "aside"):
        go("--used", used, "epochs", 0, "accumulate", 2)
        code, text = go("--resume", "epochs", 2, "accumulate", 2)
        assert code == 1 and "nothing to resume from: run" in text and "has none; start without --resume" in text, text


def test_other_settings_are_named_and_refused(go, tmp_path):
    go("epochs", 1)
    code, text = go("--resume", "epochs", 2, "accumulate", 2)
    # The tiny method says two images an update whatever it accumulates; its updates per epoch tell.
    assert code == 1 and "updates per epoch was 24, is 12" in text and "--changed" in text, text
    assert checkpoint.epochs(prefix(tmp_path)) == [1]
    code, text = go("--resume", "--changed", "epochs", 2, "accumulate", 2)
    assert code == 0 and "WARNING run" in text and "goes on with other settings: updates per epoch was 24" in text
    assert go("--resume", "epochs", 3, "accumulate", 2)[0] == 0
    assert checkpoint.epochs(prefix(tmp_path)) == [1, 2, 3]


def test_other_data_of_the_same_size_are_noticed(go, tmp_path, folder):
    go("epochs", 1)
    other = tmp_path / "other"
    (other / "train").mkdir(parents=True)
    for path in (folder / "train").iterdir():
        (other / "train" / f"z{path.name}").write_bytes(path.read_bytes())
    content = json.loads((folder / "train.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"z{image['file_name']}"
    (other / "train.json").write_text(json.dumps(content))
    code, text = go("--resume", "epochs", 2, stages=(lambda run: train(_with(run, other)),))
    assert code == 1 and "images of the first batch was" in text, text


def _with(run, data):
    run.config.data = str(data)
    return run


def test_folders_from_before_records_are_tested_and_resumed_and_it_is_said(go, tmp_path):
    go("epochs", 2)
    os.unlink(run_record.record_path(prefix(tmp_path)))
    assert "epoch 2; " in (text := what_is_tested(go)) and "nothing says which run wrote it" in text
    code, text = go("--resume", "epochs", 3)
    assert code == 0 and "tiny-run.json is absent: 4 files there are taken for this run's" in text
    assert checkpoint.epochs(prefix(tmp_path)) == [1, 2, 3] and run_record.read(prefix(tmp_path)).owns(
        "tiny-0001.params"
    )
    os.unlink(run_record.record_path(prefix(tmp_path)))
    code, text = go("epochs", 1)
    assert "holds epochs 1 to 3 of tiny, a run without a record: moved aside" in text and "-unnamed" in text


def test_checkpoints_name_their_run(go, tmp_path):
    go("epochs", 1)
    record = run_record.read(prefix(tmp_path))
    assert record.method == "tiny" and len(record.start_weights) == 64
    for name in ("tiny-0001.params", "tiny-0001.resume"):
        path = Path(prefix(tmp_path)).with_name(name)
        lines = path.with_name(f"{name}.sha256").read_text().splitlines()
        assert lines == [f"{record.files[name]}  {name}", f"# run {record.id}"]
        subprocess.run(["sha256sum", "-c", "--quiet", f"{name}.sha256"], cwd=path.parent, check=True)


def test_a_damaged_record_is_named(go, tmp_path):
    go("epochs", 1)
    Path(run_record.record_path(prefix(tmp_path))).write_text("{}")
    code, text = go("--resume", "epochs", 2)
    assert code == 1 and "tiny-run.json: damaged (KeyError: 'id'): delete it" in text


def test_prefixes_that_begin_alike_are_told_apart(tmp_path):
    for name in ("voc-fcn8s", "voc-fcn8s-atonce"):
        checkpoint.save_params(str(tmp_path / name), 1, None, {"w": np.ones(1, np.float32)}, {})
    (tmp_path / "voc-fcn8s-atonce-0001.params.7-ab.tmp").write_text("")
    assert checkpoint.epochs(str(tmp_path / "voc-fcn8s")) == [1]
    found = [path.name for path in run_record.all_files(str(tmp_path / "voc-fcn8s"))]
    assert found == ["voc-fcn8s-0001.params", "voc-fcn8s-0001.params.sha256"]
    assert not run_record.leftovers(str(tmp_path / "voc-fcn8s"))
    assert len(run_record.leftovers(str(tmp_path / "voc-fcn8s-atonce"))) == 1


# ------------------------------------------------------------------------------------------- two at the same time

HOLDER = """
import sys, time
from pathlib import Path
from fullconv.lib.experiment.run_folder import claimed
with claimed([Path(sys.argv[1])]):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_second_run_in_the_folder_ends_with_the_name_of_the_first(go, tmp_path):
    Path(prefix(tmp_path)).parent.mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, prefix(tmp_path)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    code, text = go("epochs", 1)
    assert code == 1 and f"another run is writing here: process {holder.pid} on" in text, text
    assert "set output_path" in text and not checkpoint.epochs(prefix(tmp_path))
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert go("epochs", 1)[0] == 0
    assert not list(Path(prefix(tmp_path)).parent.glob("*.lock"))


def test_what_a_killed_run_left_half_written_is_removed(go, tmp_path):
    Path(prefix(tmp_path)).parent.mkdir(parents=True)
    half = Path(f"{prefix(tmp_path)}-0003.params.12345-0a1b2c3d.tmp")
    half.write_bytes(b"half")
    go("epochs", 1)
    assert not half.exists()


def test_two_writers_of_one_file_never_write_into_each_other(tmp_path):
    """Both are in the middle of it; either file that remains is one of theirs from end to end."""
    path, inner = str(tmp_path / "file"), b"inner" * 1000

    def fill(file):
        file.write(b"outer" * 500)
        atomic.write(path, lambda other: other.write(inner), checksum=True)
        file.write(b"outer" * 500)

    atomic.write(path, fill, checksum=True)
    assert Path(path).read_bytes() == b"outer" * 1000 and atomic.sha256(path) in atomic.digests(path)
    assert sorted(os.listdir(tmp_path)) == ["file", "file.sha256"]


def test_a_file_that_vanishes_while_written_is_not_a_full_disk(tmp_path, monkeypatch):
    replace = os.replace

    def vanish(source, target):
        os.unlink(source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", vanish)
    with pytest.raises(
        checkpoint.CheckpointError, match="cannot be written: No such file.*removed while it was"
    ) as error:
        checkpoint.save_params(str(tmp_path / "e2e"), 1, None, {"w": np.ones(1, np.float32)}, {})
    assert "free some space" not in str(error.value)


@pytest.mark.parametrize("used", ["aside", "keep"])
def test_stages_that_follow_are_begun_anew_too(go, tmp_path, used):
    """As FCN's 16s follows from its 32s: what is there under the later name came from the earlier run's weights."""
    go("epochs", 1)
    later = Path(prefix(tmp_path)).with_name("tiny-later")
    for path in run_record.all_files(prefix(tmp_path)):
        later.with_name(path.name.replace("tiny-", "tiny-later-", 1)).write_bytes(path.read_bytes())
    assert checkpoint.epochs(str(later), every=True) == [1]

    def first_of_two(run):
        training = tiny.Training(run)
        training.later = [later]
        training.start_weights()
        training.fit(tiny.MetricSet({}), ["loss"], tiny.MultiFactorSchedule(0.002), range(0), 2)

    code, text = go("--used", used, stages=[first_of_two])
    assert code == 0 and "epochs 1 to 1 of tiny-later" in text, text
    assert not checkpoint.started(prefix(tmp_path)) and not checkpoint.started(str(later))
    assert checkpoint.epochs(str(later), every=True) == ([1] if used == "keep" else [])
