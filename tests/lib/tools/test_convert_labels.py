"""Labels of every kind as index PNGs."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fullconv.lib.dataset.registry import segmentation_set
from fullconv.lib.dataset.segmentation.palette import make_palette
from fullconv.lib.tools.convert_labels import main


def read(path):
    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.array(picture.getpalette()).reshape(-1, 3), make_palette(256))
        return np.array(picture)


@pytest.mark.parametrize(
    "name, split, folder, task",
    [("sbd", "train", "sbd", ""), ("nyud", "test", "nyud", ""), ("siftflow", "test", "siftflow", "geo")],
)
def test_published_sets(reference_dir, tmp_path, capsys, name, split, folder, task):
    path = str(reference_dir / "fcn" / "data" / folder)
    arguments = ["--dataset", name, "--split", split, "--path", path, "--out", str(tmp_path), "--task", task]
    assert main(arguments) == 0
    dataset = segmentation_set(name, split, dataset_path=path)
    for index, image_id in enumerate(dataset.image_ids):
        expected = dataset.read_label(index, task or next(iter(dataset.tasks)))
        assert np.array_equal(read(tmp_path / f"{image_id}.png"), expected)
    assert f"{len(dataset)} labels" in capsys.readouterr().out


def test_instances_and_what_has_none(tmp_path, capsys):
    shapes = ["--dataset", "shapes", "--path", str(tmp_path / "shapes"), "--out", str(tmp_path / "out"), "--instances"]
    assert main(["--split", "train[:2]", *shapes]) == 0
    written = sorted((tmp_path / "out").iterdir())
    maps = sorted((tmp_path / "shapes" / "VOCshapes" / "inst").iterdir())
    for png, mat in zip(written, maps):
        assert np.array_equal(read(png), scipy.io.loadmat(mat)["GTinst"]["Segmentation"][0, 0])
    assert len(written) == len(maps) == 2
    (tmp_path / "test.txt").write_text("1")
    nyud = ["--dataset", "nyud", "--split", "test", "--path", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main([*nyud, "--instances"]) == 1
    assert "nyud_test has no instance maps" in capsys.readouterr().out
    assert not (tmp_path / "o").exists()


def test_a_wrong_label_stops_with_its_name(tmp_path, capsys):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i, value in enumerate((1, 5)):
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "images" / f"a{i}.png")
        Image.fromarray(np.full((4, 6), value, np.uint8)).save(tmp_path / "labels" / f"a{i}.png")
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    arguments = ["--dataset", "folder", "--split", "all", "--path", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "stopped after 1 labels" in capsys.readouterr().out
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a0.png"]


def test_ids_with_a_folder_and_joined_splits_of_equal_names(tmp_path, capsys):
    for split, value in (("train", 1), ("val", 2)):
        for kind, picture in (("images", np.zeros((4, 6, 3), np.uint8)), ("labels", np.full((4, 6), value, np.uint8))):
            (tmp_path / kind / split).mkdir(parents=True)
            Image.fromarray(picture).save(tmp_path / kind / split / "a.png")
    (tmp_path / "classes.txt").write_text("bg\na\nb\n")
    arguments = ["--dataset", "folder", "--split", "train+val", "--path", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main(arguments) == 0 and "2 labels" in capsys.readouterr().out
    assert [int(read(tmp_path / "o" / f"00000{i}_a.png").max()) for i in (0, 1)] == [1, 2]

    for link, folder in (("JPEGImages", "images"), ("SegmentationClass", "labels")):
        (tmp_path / folder).rename(tmp_path / link)
    (tmp_path / "list.txt").write_text("train/a\nval/a\n")
    arguments = ["--dataset", "voc", "--split", "list", "--path", str(tmp_path), "--out", str(tmp_path / "v")]
    assert main(arguments) == 0
    assert [int(read(tmp_path / "v" / split / "a.png").max()) for split in ("train", "val")] == [1, 2]
