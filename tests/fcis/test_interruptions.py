"""Full disks and Ctrl-C, with the real script in a process of its own."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fullconv.lib.core import checkpoint

ROOT = Path(__file__).resolve().parents[2]
TRAIN_TEST = ROOT / "experiments/fcis/fcis_end2end_train_test.py"
CFG = ROOT / "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"


def command(folder, *more):
    """Training on 3 pictures of the embedded set, 32 pixels high."""
    data = ["dataset.dataset_path", folder / "shapes", "dataset.root_path", folder, "output_path", folder / "out"]
    sets = ["dataset.image_set", "train3", "dataset.test_image_set", "val1", "SCALES", "32,40"]
    options = ["--cfg", CFG, "--frequent", "1", "--set", *data, *sets, *more]
    return [sys.executable, str(TRAIN_TEST), *map(str, options)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where one epoch has been trained."""
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        command(folder, "TRAIN.end_epoch", "1", "TEST.test_epoch", "0"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def prefix(folder):
    return str(folder / "out" / CFG.stem / "train3" / "e2e")


@pytest.mark.parametrize("size, file", [(100_000, "e2e-0002.params"), (200, ".log")], ids=["checkpoint", "log"])
def test_a_full_disk_leaves_the_checkpoint_before(folder, size, file):
    """Files cannot grow beyond `size` bytes, which fails as a full disk does."""
    whole = Path(checkpoint.params_path(prefix(folder), 1)).read_bytes()
    done = subprocess.run(
        [*command(folder, "TRAIN.end_epoch", "2"), "--resume"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        timeout=100,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in text, text
    message = done.stderr.strip().splitlines()[-1]
    assert file in message and "File too large" in message and "free" in message, text
    assert checkpoint.epochs(prefix(folder)) == [1]
    checkpoint.verify(checkpoint.params_path(prefix(folder), 1))
    checkpoint.verify(checkpoint.resume_path(prefix(folder), 1))
    assert Path(checkpoint.params_path(prefix(folder), 1)).read_bytes() == whole
    assert not list(Path(prefix(folder)).parent.glob("*.tmp*"))
