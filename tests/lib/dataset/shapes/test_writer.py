"""The embedded data set: the same everywhere, learnable, and the same in both layouts."""

import hashlib
import json
import os

import numpy as np
import pytest
from scipy import ndimage

from fullconv.lib.dataset.detection.detection_set import with_objects
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import read_image
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.dataset.shapes import writer as shapes
from fullconv.lib.dataset.shapes.scene import CLASSES, HEIGHT, MAX_OBJECTS, MIN_AREA, WIDTH, draw_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("shapes"))
    shapes.generate(path, "train", 12)
    shapes.generate(path, "val", 6)
    return path


def _digests(path):
    result = {}
    for parent, _, names in os.walk(path):
        for name in names:
            full = os.path.join(parent, name)
            with open(full, "rb") as file:
                result[os.path.relpath(full, path)] = hashlib.sha256(file.read()).hexdigest()
    return result


def test_generation_is_deterministic(folder, tmp_path):
    shapes.generate(str(tmp_path), "train", 12, seed=0)
    shapes.generate(str(tmp_path), "val", 6, seed=0)
    assert _digests(tmp_path) == _digests(folder)


def test_larger_set_continues_the_smaller(folder, tmp_path):
    shapes.generate(str(tmp_path), "train", 5)
    small, large = _digests(tmp_path / "VOCshapes"), _digests(os.path.join(folder, "VOCshapes"))
    pictures = [name for name in small if not name.startswith("ImageSets")]
    assert len(pictures) == 3 * 5 + 1 and all(small[name] == large[name] for name in pictures)


def test_seed_and_split_change_every_picture():
    pictures = [draw_scene(seed, split, i).image for seed in (0, 1) for split in (0, 1) for i in range(3)]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_scenes():
    """1 to 8 objects of every class, overlapping, each with enough in sight; masks never share a pixel."""
    counts, labels, touching, split_masks = set(), set(), 0, 0
    for index in range(60):
        scene = draw_scene(0, 0, index)
        assert scene.image.shape == (HEIGHT, WIDTH, 3) and scene.image.dtype == np.uint8
        areas = np.bincount(scene.instances.ravel(), minlength=len(scene.classes) + 1)[1:]
        assert len(areas) == len(scene.classes) and (areas >= MIN_AREA).all()
        counts.add(len(areas))
        labels.update(scene.classes.tolist())
        right = scene.instances[:, 1:], scene.instances[:, :-1]
        touching += bool(np.any((right[0] != right[1]) & (right[0] > 0) & (right[1] > 0)))
        split_masks += any(ndimage.label(scene.instances == i + 1)[1] > 1 for i in range(len(areas)))
    assert min(counts) == 1 and max(counts) == MAX_OBJECTS
    assert labels == set(range(1, len(CLASSES) + 1))
    assert touching > 15 and split_masks > 0


def test_objects_differ_from_what_they_cover():
    """Otherwise no one could find them: mean colours inside and around differ."""
    for index in range(20):
        scene = draw_scene(0, 1, index)
        if len(scene.classes) == 1:
            inside = scene.instances == 1
            difference = scene.image[inside].mean(axis=0) - scene.image[~inside].mean(axis=0)
            assert np.linalg.norm(difference) > 25


def test_read_through_both_readers(folder, tmp_path):
    voc = detection_set("shapes", "train12", str(tmp_path), folder)
    coco = detection_set("coco", "train", str(tmp_path), folder)
    assert voc.classes == coco.classes == ["__background__", *CLASSES]
    for a, b in zip(voc.entries(), coco.entries()):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.classes, b.classes)
        np.testing.assert_array_equal(a.read_masks(), b.read_masks())
        np.testing.assert_array_equal(read_image(a.image), read_image(b.image))
    assert len(with_objects(voc.entries())) == 12


def test_train_and_val_are_disjoint(folder):
    digests = _digests(os.path.join(folder, "images"))
    assert len(set(digests.values())) == len(digests) == 18


def test_generated_on_demand_once(tmp_path):
    dataset = detection_set("shapes", "val[:2]+train3", str(tmp_path))
    assert dataset.image_ids == ["val_000000", "val_000001", "train_000000", "train_000001", "train_000002"]
    path = tmp_path / "shapes" / "VOCshapes" / "img" / "train_000000.jpg"
    before = path.stat().st_mtime_ns
    assert len(detection_set("shapes", "train2", str(tmp_path)).entries()) == 2
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["marker", "image", "garbage", "version"])
def test_partial_generation_is_redone(tmp_path, damage):
    shapes.generate(str(tmp_path), "train", 3)
    whole = _digests(tmp_path)
    marker = tmp_path / "complete-train.json"
    if damage == "marker":
        marker.unlink()
    elif damage == "garbage":
        marker.write_text("{")
    elif damage == "version":
        marker.write_text(json.dumps({"version": -1, "seed": 0, "count": 3}))
    else:
        (tmp_path / "VOCshapes" / "img" / "train_000001.jpg").unlink()
    shapes.generate(str(tmp_path), "train", 3)
    assert _digests(tmp_path) == whole


def test_other_seeds_are_kept(tmp_path):
    shapes.generate(str(tmp_path), "train", 2, seed=5)
    other = _digests(tmp_path)
    detection_set("shapes", "train2", str(tmp_path), str(tmp_path))
    assert _digests(tmp_path) == other


@pytest.mark.parametrize("name", ["test", "train0", "train-5", "train2014x"])
def test_unknown_image_set(tmp_path, name):
    with pytest.raises(DatasetError, match="shapes has no image set"):
        detection_set("shapes", name, str(tmp_path))


def test_cues_tell_classes_apart():
    """With cues every disc is plain: what is left of it without its gradient of light is the noise of the picture."""
    rough = {False: [], True: []}
    for cues in rough:
        for index in range(20):
            scene = draw_scene(0, 0, index, cues=cues)
            image = scene.image.astype(float)
            flat = image - ndimage.uniform_filter(image, (9, 9, 0))
            for disc in np.flatnonzero(scene.classes == 1) + 1:
                inside = ndimage.binary_erosion(scene.instances == disc, iterations=9)
                if inside.any():
                    rough[cues].append(flat[inside].std())
    assert np.nanmax(rough[True]) < 9 < np.nanmax(rough[False])


def test_the_two_sets_do_not_share_a_folder(tmp_path):
    shapes.generate(str(tmp_path), "train", 1)
    with pytest.raises(DatasetError, match="holds shapes, not textured_shapes: choose another folder"):
        shapes.generate(str(tmp_path), "train", 1, cues=True)


def test_command_line(tmp_path, capsys):
    shapes.main(["--out", str(tmp_path), "--train", "2", "--val", "1", "--seed", "3"])
    assert "train has 2 images of disc" in capsys.readouterr().out
    assert json.loads((tmp_path / "complete-val.json").read_text())["seed"] == 3
