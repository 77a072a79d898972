"""A method of its own, made of lib alone: two layers that find one box; it trains, resumes, tests and draws.

The ground is general if nothing below has to know of masks, anchors, label maps or another method's configuration.
"""

import json
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core import checkpoint
from fullconv.lib.core.loader import EpochLoader, SampleSource
from fullconv.lib.core.metric import MetricSet
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.core.sampler import EpochSampler, Share, shuffled_order
from fullconv.lib.core.schedule import MultiFactorSchedule
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.dataset.image import read_image, to_tensor
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import Method, main
from fullconv.lib.experiment.detection_testing import DetectionTestRun
from fullconv.lib.experiment.session import Session
from fullconv.lib.experiment.settings import Settings
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.structures.detections import Detections

SIZE = 32
REPEATS = 20  # of every picture in an epoch, after which checkpoint and curves are written
KEYS = {"out": "", "data": "", "epochs": 2, "every": 4, "accumulate": 1, "gpus": "", "devices": "cpu", "bad": "fail"}

# -------------------------------------------------------------------------------------------------- the method


def settings(config):
    bad = {"bad_images": config.bad, "bad_images_limit": 0.1}
    return Settings(config.out, seed=1, frequent=config.every, gpus=config.gpus, devices=config.devices, **bad)


def load(path, overrides=()):
    return base.load(KEYS, path, overrides)


IMMATERIAL = ("out", "data", "epochs", "accumulate")
METHOD = Method(
    "tiny",
    load,
    settings,
    frequent="every",
    gpus="gpus",
    devices="devices",
    accumulate="accumulate",
    immaterial=IMMATERIAL,
)


def dataset(run):
    return detection_set("coco", "train", run.config.data, run.config.data, masks=False)


def prefix(run):
    return run.settings.folder(run.args.cfg, "train") / "tiny"


def network():
    """Means of eight channels over rows and over columns, and a box in shares of the image: (N, 4)."""
    maps = mx.sym.Convolution(mx.sym.Variable("data") / 128, kernel=(3, 3), pad=(1, 1), num_filter=8, name="conv")
    maps = mx.sym.Activation(maps, act_type="relu")
    profiles = [mx.sym.Flatten(mx.sym.mean(maps, axis=axis)) for axis in (2, 3)]
    return mx.sym.FullyConnected(mx.sym.concat(*profiles, dim=1), num_hidden=4, name="box")


class Source(SampleSource):
    def __init__(self, entries):
        super().__init__(seed=1)
        self.entries = entries

    def names(self, plan):
        return [self.entries[index].image for index in plan.indices]

    def sample(self, index, seed):
        entry = self.entries[index]
        data = to_tensor(read_image(entry.image), (128, 128, 128))[0]
        return {"data": data, "target": (entry.boxes[0] / SIZE).astype(np.float32)}


class Training(Session):
    def __init__(self, run):
        data = dataset(run)
        super().__init__(run.settings, run.config, "tiny", prefix(run), {"": data.classes})
        self.symbol = mx.sym.MakeLoss(mx.sym.square(network() - mx.sym.Variable("target")))
        shapes = {"data": (1, 3, SIZE, SIZE), "target": (1, 4)}
        self.trainer = Trainer(self.symbol, run.contexts, shapes, accumulate=run.config.accumulate, optimizer="adam")
        order, share = lambda rng: shuffled_order(REPEATS * len(data), rng), Share(self.trainer.batches_per_step)
        self.loader = EpochLoader(
            EpochSampler(REPEATS * len(data), 1, order, 1, share), Source(data.entries() * REPEATS)
        )

    def start_weights(self):
        rng, shapes = self.settings.generator(), self.trainer.param_shapes()
        arrays = {name: mx.nd.array(rng.normal(0, 0.05, shape)) for name, shape in sorted(shapes.items())}
        self.trainer.set_params(arrays, arrays)


def train(run):
    training = Training(run)
    begin = training.restore() if run.args.resume else training.start_weights() or 0
    metrics = MetricSet({"Loss": lambda arrays: (arrays["loss"].sum(), mx.nd.ones((1,)))})
    training.fit(metrics, ["loss"], MultiFactorSchedule(0.002), range(begin, run.config.epochs), 2)


class Finder:
    def __init__(self, params, ctx):
        self.predictor = Predictor(network(), ctx, {"data": (1, 3, SIZE, SIZE)}, *params)

    def start(self, sample):
        return self.predictor.start({"data": sample[None]})

    def finish(self, sample, started, on_outputs):
        (box,) = self.predictor.finish(started).values()
        on_outputs()
        return Detections(box * SIZE, np.ones(1), np.ones(1, int))


class Test(DetectionTestRun):
    masks = False

    def __init__(self, run):
        super().__init__(run, dataset(run), "val", prefix(run), epoch_to_test(str(prefix(run)), 0, "train"))

    def detectors(self):
        return [Finder(checkpoint.load_file(self.params_path), ctx) for ctx in self.contexts]

    def load(self, entry):
        return to_tensor(read_image(entry.image), (128, 128, 128))[0]

    def determining(self):
        return {}


# --------------------------------------------------------------------------------------------------- the tests


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures of a bright rectangle, boxes alone, as a COCO json; and an empty configuration."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "train").mkdir()
    rng, images, annotations = np.random.RandomState(0), [], []
    for number in range(1, 13):
        x, y = rng.randint(0, 14, 2)
        w, h = rng.randint(8, 17, 2)
        picture = np.full((SIZE, SIZE, 3), 40, np.uint8)
        picture[y : y + h, x : x + w] = 220
        cv2.imwrite(str(folder / "train" / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "height": SIZE, "width": SIZE})
        box = [int(v) for v in (x, y, w, h)]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "box"}]}
    (folder / "train.json").write_text(json.dumps(content))
    (folder / "tiny.yaml").write_text("")
    return folder


def run(monkeypatch, folder, out, *words, stages=(train, lambda run: Test(run).run())):
    options = ["--cfg", folder / "tiny.yaml", *words, "--set", "data", folder, "out", out]
    monkeypatch.setattr(sys, "argv", ["tiny", *map(str, options)])
    main(METHOD, "tiny", *stages)
    return out / "tiny"


def arrays(folder, epoch):
    return {n: a.asnumpy() for n, a in checkpoint.load_params(str(folder / "train" / "tiny"), epoch)[0].items()}


def test_it_trains_tests_and_draws(monkeypatch, folder, tmp_path):
    found = run(monkeypatch, folder, tmp_path, "epochs", "10", "every", "240")
    scores = json.loads((found / "val" / "scores.json").read_text())
    assert scores["box AP@0.5"] > 0.9, "one convolution is enough to find a bright rectangle"
    assert "AP@0.5" not in scores, "there are no masks to score"
    pictures = list((found / "val" / "pictures" / "images").iterdir())
    assert len(pictures) == 12 and (found / "val" / "pictures" / "index.html").is_file()
    assert (found / "train" / "tiny-curves.png").is_file()
    assert (found / "train" / "tiny-classes.txt").read_text().split()[-1] == "box"


def test_testing_twice_leaves_the_same_files(monkeypatch, folder, tmp_path):
    """To the last byte, with the network run anew: detections, results and scores."""
    contents = []
    for stages in ((train, lambda run: Test(run).run()), (lambda run: Test(run).run(),)):
        val = run(monkeypatch, folder, tmp_path, "epochs", "1", stages=stages) / "val"
        files = [path for path in val.rglob("*") if path.suffix in (".npz", ".json")]
        contents.append({str(path.relative_to(val)): path.read_bytes() for path in files})
        (kept,) = val.glob("*_detections.npz")
        kept.unlink()
    assert contents[0] == contents[1] and {"scores.json", "results/detections_train_results.json"} <= set(contents[0])


def test_resumed_it_is_as_uninterrupted(monkeypatch, folder, tmp_path):
    whole = run(monkeypatch, folder, tmp_path / "whole", "epochs", "4", stages=[train])
    run(monkeypatch, folder, tmp_path / "parts", "epochs", "2", stages=[train])
    parts = run(monkeypatch, folder, tmp_path / "parts", "--resume", "epochs", "4", stages=[train])
    for name, array in arrays(whole, 4).items():
        np.testing.assert_array_equal(array, arrays(parts, 4)[name], err_msg=name)


def test_two_devices_are_one_that_accumulates(monkeypatch, folder, tmp_path):
    one = run(monkeypatch, folder, tmp_path / "one", "accumulate", "2", stages=[train])
    two = run(monkeypatch, folder, tmp_path / "two", "--devices", "cpu:2", stages=[train])
    for name, array in arrays(one, 2).items():
        np.testing.assert_allclose(array, arrays(two, 2)[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_options_of_other_methods_are_refused(monkeypatch, folder, tmp_path, capsys):
    for option in ("--thresh", "--ignore_cache"):
        with pytest.raises(SystemExit):
            run(monkeypatch, folder, tmp_path, option, "1")
        assert f"unrecognized arguments: {option}" in capsys.readouterr().err


def test_options_are_spellings_of_its_own_keys(monkeypatch, folder, tmp_path):
    run(monkeypatch, folder, tmp_path, "--frequent", "3", "epochs", "1", stages=[train])
    saved = base.load(KEYS, str(tmp_path / "tiny" / "train" / "tiny-config.yaml"))
    assert saved.every == 3 and Path(saved.data) == folder
