"""Bad data, bad files and hard images through the programs a user runs: each ends well, or with one message that says
what to do."""

import json
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from fullconv.fcis import assembly, demo
from fullconv.fcis import config as fcis_config
from fullconv.fcis.config import METHOD
from fullconv.fcis.data import training_entries, training_set
from fullconv.fcis.symbols.fcis import FCIS
from fullconv.fcis.test import check_test_set
from fullconv.fcis.test import test as run_test
from fullconv.fcis.train_end2end import train
from fullconv.lib.core import checkpoint
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EpochSampler
from fullconv.lib.experiment.command_line import main
from tests.programs import runner

CFG = "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"
H, W = 64, 96
SQUARE = (10, 10, 30, 30)


def square(key, image, box=SQUARE, **changes):
    """A COCO annotation of a rectangle x, y, width, height."""
    x, y, w, h = box
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    record = {"id": key, "image_id": image, "category_id": 1, "iscrowd": 0, "area": w * h, "bbox": list(box)}
    return {**record, "segmentation": outline, **changes}


def noise(size, seed=0):
    return np.random.RandomState(seed).randint(0, 255, size, np.uint8)


def write_set(folder, sizes=((H, W),) * 3, annotations=None, names=("cat", "dog"), files=None):
    """A data set `own`: images 1.png, 2.png, ... of the given (height, width), one object each."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    files = files or [f"{key}.png" for key in range(1, len(sizes) + 1)]
    images = [{"id": k, "file_name": f, "height": h, "width": w} for k, (f, (h, w)) in enumerate(zip(files, sizes), 1)]
    for image in images:
        size = (image["height"], image["width"], 3)
        cv2.imwrite(str(folder / "images" / image["file_name"]), noise(size, image["id"]))
    annotations = [square(k, k) for k in range(1, len(sizes) + 1)] if annotations is None else annotations
    categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
    (folder / "own.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return folder


def words(folder, *more):
    """Options of a run of a second on the set in `folder`."""
    data = ["dataset.dataset", "coco", "dataset.dataset_path", folder, "dataset.root_path", folder / "data"]
    sets = ["dataset.image_set", "own", "dataset.test_image_set", "own", "output_path", folder / "out"]
    short = ["SCALES", f"{H},{W}", "TRAIN.end_epoch", "1", "TEST.test_epoch", "0", "TRAIN.BATCH_ROIS", "16"]
    rois = [f"{part}.RPN_{key}_NMS_TOP_N 50" for part in ("TRAIN", "TEST") for key in ("PRE", "POST")]
    return ["--cfg", CFG, "--frequent", "1", "--set", *map(str, [*data, *sets, *short, *" ".join(rois).split(), *more])]


@pytest.fixture
def run(monkeypatch, capsys, caplog):
    """run(options, *stages) as the scripts run them -> (exit code, everything written); a traceback fails the test."""
    return runner(METHOD, (check_test_set, train, run_test), monkeypatch, capsys, caplog)


def setup(folder, *more):
    """What batches of the set in `folder` are made of."""
    config = fcis_config.load(CFG, words(folder, *more)[5:])
    data = training_set(config.dataset)
    entries = training_entries(data, flip=True)
    symbol = FCIS(assembly.network_spec(config, data.num_classes)).train_symbol(assembly.train_spec(config))
    return assembly.train_source(config, entries, symbol)


def batches(source):
    return EpochLoader(EpochSampler(len(source.entries)), source).epoch(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A set and one epoch of training on it; do not change it."""
    folder = write_set(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["program", *words(folder)])
        main(METHOD, "", train)
    return folder


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of `trained` to be spoiled."""
    return shutil.copytree(trained, tmp_path / "copy")


def params(folder):
    return folder / "out" / "resnet_small_shapes_fcis" / "own" / "e2e-0001.params"


# ------------------------------------------------------------------------------------------------ kinds of images

RGB = noise((H, W, 3))
KINDS = {
    "grey.png": Image.fromarray(RGB[..., 0]),
    "grey16.png": Image.fromarray(RGB[..., 0].astype(np.uint16) * 257),
    "alpha.png": Image.fromarray(np.dstack([RGB, RGB[..., 0]])),
    "grey_alpha.png": Image.fromarray(RGB[..., :2], "LA"),
    "palette.png": Image.fromarray(RGB).quantize(16),
    "black_white.png": Image.fromarray(RGB[..., 0]).convert("1"),
    "cmyk.jpg": Image.fromarray(RGB).convert("CMYK"),
    "grey.jpg": Image.fromarray(RGB[..., 0]),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_image_is_trained_on_and_tested(tmp_path, run, name):
    folder = write_set(tmp_path, [(H, W)], files=[name])
    KINDS[name].save(folder / "images" / name)
    data = next(batches(setup(folder)))["data"]
    assert data.shape == (1, 3, H, W) and data.std() > 10
    code, text = run(words(folder))
    assert code == 0, text


def exif_rotated(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(folder / "images" / "1.jpg", exif=exif)


def test_a_rotated_photo_is_read_in_the_frame_of_its_annotations(tmp_path):
    folder = write_set(tmp_path, [(H, W)], files=["1.jpg"])
    exif_rotated(folder)
    assert setup(folder).sample(0, 0)["data"].shape == (3, H, W)


def test_annotations_in_the_turned_frame_are_refused(tmp_path, run):
    folder = write_set(tmp_path, [(W, H)], files=["1.jpg"])
    exif_rotated(folder)
    code, text = run(words(folder))
    assert code == 1 and "1.jpg: the file is (64, 96)" in text and "correct the annotations" in text


# ------------------------------------------------------------------------------------------------ damaged data


def truncated(folder):
    path = folder / "images" / "2.png"
    path.write_bytes(path.read_bytes()[:3000])


def change(**fields):
    """Spoils fields of the first annotation."""

    def spoil(folder):
        data = json.loads((folder / "own.json").read_text())
        data["annotations"][0].update(fields)
        (folder / "own.json").write_text(json.dumps(data))

    return spoil


DAMAGE = [
    (truncated, "could not prepare .*2.png: .*truncated.*copy it again"),
    (lambda f: (f / "images/2.png").write_bytes(b""), r"2.png: the image file is empty \(0 bytes\): copy it again"),
    (lambda f: (f / "images/2.png").write_bytes(b"junk" * 99), "2.png: not one of JPEG, PNG.*replace it"),
    (lambda f: (f / "images/2.png").unlink(), "2.png of image 2 is in none of .*correct dataset_path"),
    (lambda f: cv2.imwrite(str(f / "images/2.png"), RGB[:9]), r"2.png: the file is \(9, 96\).*correct the annotations"),
    (lambda f: (f / "own.json").unlink(), "has none of .*own.json: check dataset_path"),
    (lambda f: (f / "own.json").write_text("{"), "own.json: not a JSON file .*export it again"),
    (change(category_id=9), "own.json: annotation 1: field 'category_id' is 9, not one of categories: correct it"),
    (change(segmentation=[]), "annotation 1: field 'segmentation' is empty: give polygons"),
    (change(bbox=[1, 2, 3]), "annotation 1: field 'bbox' is .*give x, y, width, height"),
]


@pytest.mark.parametrize("damage, message", DAMAGE, ids=range(len(DAMAGE)))
def test_damaged_data_ends_with_one_message(tmp_path, run, damage, message):
    folder = write_set(tmp_path)
    damage(folder)
    code, text = run(words(folder))
    assert code == 1
    assert re.search(message, text), text


def test_the_test_set_is_looked_at_before_training(tmp_path, run):
    code, text = run(words(write_set(tmp_path), "dataset.test_image_set", "nowhere"))
    assert code == 1 and "image_set 'nowhere'" in text and "Epoch[0]" not in text


def test_bounds_crowds_and_empty_images_among_others(tmp_path, run):
    """A box over the border, one outside, one without area, an image with only crowd, one without annotations."""
    boxes = [square(1, 1, (80, 50, 60, 60)), square(2, 1, (200, 10, 5, 5)), square(3, 1, area=0), square(4, 2)]
    folder = write_set(tmp_path, ((H, W),) * 4, [*boxes, square(5, 3, iscrowd=1)])
    assert [len(entry.boxes) for entry in setup(folder).entries] == [1, 1] * 2
    code, text = run(words(folder))
    assert code == 0 and "testing 4/4" in text


CROWDS = [square(1, 1, iscrowd=1), square(2, 3, iscrowd=1)]


@pytest.mark.parametrize("annotations, scored", [([], "no annotations: nothing was scored"), (CROWDS, "n/a")])
def test_nothing_to_train_on(copy, run, annotations, scored):
    data = json.loads((copy / "own.json").read_text())
    (copy / "own.json").write_text(json.dumps({**data, "annotations": annotations}))
    code, text = run(words(copy), train)
    assert code == 1 and "none of its 3 images has an object" in text and "lib.tools.check" in text
    code, text = run(words(copy), run_test)
    assert code == 0 and "testing 3/3" in text and scored in text, text


# ------------------------------------------------------------------------------------------------- hard images


def test_tiny_long_and_large_images(tmp_path, run):
    """1x1, 1:50 both ways, and larger than SCALES."""
    boxes = [(0, 0, 1, 1), (100, 2, 100, 6), (2, 100, 6, 100), (100, 100, 300, 300)]
    annotations = [square(k, k, box) for k, box in enumerate(boxes, 1)]
    folder = write_set(tmp_path, [(1, 1), (10, 500), (500, 10), (700, 900)], annotations)
    code, text = run(words(folder, "SCALES", "256,320"))
    assert code == 0 and "testing 4/4" in text, text


def test_an_image_too_thin_for_the_network_is_named_before_work_begins(trained, tmp_path, run):
    folder = write_set(tmp_path, [(H, W), (2, 3000)], [square(1, 1), square(2, 2, (5, 0, 90, 2))])
    for stage in (train, run_test):
        if stage is run_test:
            shutil.copytree(trained / "out", folder / "out", dirs_exist_ok=True)
        code, text = run(words(folder), stage)
        assert code == 1 and "2.png: 3000x2 is too long and thin" in text and "leave it out" in text, text
        assert "Batch [" not in text and not re.search(r"testing \d", text)


def test_the_demo_goes_on_after_images_it_cannot_use(trained, tmp_path, capsys):
    folder = write_set(tmp_path, [(H, W), (2, 3000)])
    truncated(write_set(tmp_path / "more"))
    options = [
        "--model",
        str(params(trained))[: -len("-0001.params")],
        "--devices",
        "cpu",
        "--out",
        str(tmp_path / "o"),
    ]
    assert demo.main([str(folder / "images"), str(tmp_path / "more" / "images" / "2.png"), *options]) == 1
    text = capsys.readouterr().err
    assert "2.png: 3000x2 is too long and thin" in text and "truncated" in text and "2 of 3 images" in text


def test_more_than_a_hundred_objects(tmp_path, run):
    """Executors of another object count share the parameters; masks take rows for the next power of two, no more."""
    boxes = [(x, y, 6, 6) for x in range(0, 90, 7) for y in range(0, 58, 6)]
    crowded = [square(k, 1, box) for k, box in enumerate(boxes, 10)]
    folder = write_set(tmp_path, ((H, W),) * 3, [*crowded, square(1, 2), square(2, 3)])
    source = setup(folder)
    assert len(boxes) == 130
    assert source.largest_shapes(1)["gt_masks"] == (1, 256, H, W)
    found = list(batches(source))
    assert sorted(len(batch["gt_masks"][0]) for batch in found) == [1, 1, 1, 1, 256, 256]
    assert all(batch["gt_masks"].nbytes == batch["gt_boxes"].shape[1] * H * W * 4 for batch in found)
    code, text = run(words(folder))
    assert code == 0, text


# ------------------------------------------------------------------------------------------------ checkpoints


def test_a_truncated_checkpoint(copy, run):
    whole = params(copy).read_bytes()
    params(copy).write_bytes(whole[: len(whole) // 2])
    code, text = run(words(copy), run_test)
    assert code == 1 and "e2e-0001.params: truncated" in text and "Train first" in text
    code, text = run(words(copy, "TEST.test_epoch", "1"), run_test)
    assert code == 1 and "e2e-0001.params: truncated" in text and "use another epoch or fetch the file again" in text
    prefix = str(params(copy))[: -len("-0001.params")]
    start = words(copy, "network.pretrained", prefix, "network.pretrained_epoch", "1")
    code, text = run(start, train)
    assert code == 1 and "e2e-0001.params: truncated" in text


def test_a_truncated_checkpoint_in_the_demo(copy, capsys):
    whole = params(copy).read_bytes()
    params(copy).write_bytes(whole[: len(whole) // 2])
    prefix = str(params(copy))[: -len("-0001.params")]
    assert demo.main([str(copy / "images"), "--model", prefix, "--devices", "cpu"]) == 2
    assert "e2e-0001.params: truncated" in capsys.readouterr().err


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "names, message",
    [
        (("cat", "dog", "cow"), "checkpoint has 3 classes, config has 4: take the data or config it was trained with"),
        (("dog", "cat"), "e2e-classes.txt: the network was trained on other classes.*'cat' there is 'dog' here"),
    ],
)
def test_another_class_list_is_refused(copy, run, names, message, resume):
    data = json.loads((copy / "own.json").read_text())
    data["categories"] = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
    (copy / "own.json").write_text(json.dumps(data))
    before = params(copy).with_name("e2e-classes.txt").read_text()
    options, stage = (["--resume"], train) if resume else ([], run_test)
    code, text = run([*options, *words(copy, "TRAIN.end_epoch", "2")], stage)
    assert code == 1 and re.search(message, text), text
    assert params(copy).with_name("e2e-classes.txt").read_text() == before


def test_weights_alone_are_resumed_as_the_original_does(copy, run):
    for path in params(copy).parent.glob("*.resume*"):
        path.unlink()
    code, text = run(["--resume", *words(copy, "TRAIN.end_epoch", "2")], train)
    assert code == 1 and "the weights of epochs 1 are there" in text and "TRAIN.RESUME true" in text, text
    code, text = run(words(copy, "TRAIN.end_epoch", "2", "TRAIN.RESUME", "true", "TRAIN.begin_epoch", "1"), train)
    assert code == 0 and "e2e-0001.params: weights alone: momentum starts anew" in text, text
    assert "after update 6" in text and checkpoint.epochs(str(params(copy))[: -len("-0001.params")]) == [1, 2]


def test_an_output_folder_that_is_a_file(tmp_path, run, trained, capsys):
    folder = write_set(tmp_path)
    (folder / "out").write_text("")
    code, text = run(words(folder))
    assert code == 1 and str(folder / "out") in text and "write to another folder" in text
    prefix = str(params(trained))[: -len("-0001.params")]
    options = ["--model", prefix, "--devices", "cpu", "--out", str(folder / "out")]
    assert demo.main([str(folder / "images" / "1.png"), *options]) == 2
    assert str(folder / "out") in capsys.readouterr().err


def test_a_diverging_run_stops_within_one_interval(copy, run):
    """oneDNN's relu turns NaN into 0, so losses alone stay finite for a while; parameters are looked at too."""
    before = params(copy).read_bytes()
    options = words(copy, "TRAIN.lr", "1e6", "TRAIN.warmup", "false", "TRAIN.end_epoch", "3")
    code, text = run(["--resume", *options, "--frequent", "3"], train)
    assert code == 1 and "TRAIN.lr was 0.02, is 1000000.0; TRAIN.warmup was True, is False" in text, text
    code, text = run(["--resume", "--changed", *options, "--frequent", "3"], train)
    assert code == 1 and re.search("training diverged at epoch 1, update [36]: .* not finite", text), text
    assert "Lower the learning rate" in text and "Epoch[2]" not in text
    assert "Last images: " in text and ".png" in text.split("Last images: ")[1]
    assert params(copy).read_bytes() == before and checkpoint.epochs(str(params(copy))[: -len("-0001.params")]) == [1]
