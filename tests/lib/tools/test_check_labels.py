"""The checker: every kind of mistake is found and named, and sound data passes."""

import numpy as np
import pytest
from PIL import Image

from fullconv.lib.dataset.registry import segmentation_set
from fullconv.lib.dataset.segmentation.palette import make_palette
from fullconv.lib.tools.check import main
from fullconv.lib.tools.check_labels import check

SIZE = (8, 10)


def label(*values):
    array = np.zeros(SIZE, np.uint8)
    array.flat[: len(values)] = values
    return array


def make_folder(root, labels, palette=None, classes=("sky", "road", "car")):
    (root / "images" / "train").mkdir(parents=True)
    (root / "labels" / "train").mkdir(parents=True)
    for i, array in enumerate(labels):
        Image.fromarray(np.full(SIZE + (3,), 60, np.uint8)).save(root / "images" / "train" / f"a{i}.png")
        picture = Image.fromarray(array)
        if palette is not None:
            picture = Image.fromarray(array, "P")
            picture.putpalette(np.asarray(palette[i] if isinstance(palette, list) else palette).ravel().tolist())
        picture.save(root / "labels" / "train" / f"a{i}.png")
    (root / "classes.txt").write_text("\n".join(classes))
    return root


def reports(root, **options):
    return check(segmentation_set("folder", "train", dataset_path=str(root), **options), decode=True)


def errors(report):
    return [problem.text for problem in report.problems if problem.fatal]


def notes(report):
    return [str(problem) for problem in report.problems if not problem.fatal]


def test_sound_data_passes_and_is_counted(tmp_path, capsys):
    root = make_folder(tmp_path, [label(1, 1, 255), label(2)], palette=make_palette(256))
    (report,) = reports(root)
    assert report.problems == []
    assert report.counts == {0: 156, 1: 2, 2: 1, 255: 1} and report.images == {0: 2, 1: 1, 2: 1, 255: 1}
    assert main(["--dataset", "folder", "--split", "train", "--path", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "2 images" in printed and "0 errors, 0 notes" in printed and "road" in printed and "(void)" in printed


def test_every_mistake_in_one_folder(tmp_path, capsys):
    root = make_folder(tmp_path, [label(1, 2)] * 6)
    Image.fromarray(label(1).T.copy()).save(root / "labels" / "train" / "a0.png")
    Image.fromarray(label(1, 9, 9)).save(root / "labels" / "train" / "a1.png")
    Image.fromarray(np.zeros(SIZE + (3,), np.uint8)).save(root / "labels" / "train" / "a2.png")
    (root / "labels" / "train" / "a3.png").unlink()
    image = root / "images" / "train" / "a4.png"
    image.write_bytes(image.read_bytes()[:-20])
    (report,) = reports(root)
    expected = [
        "a0.png: the label is 8 x 10",
        "a1.png: 2 pixels have label 9",
        "a2.png: a RGB picture",
        "a3.png: no such",
    ]
    for text in [*expected, "a4.png: the image is truncated"]:
        assert any(text in problem for problem in errors(report)), text
    assert len(errors(report)) == 5
    assert main(["--dataset", "folder", "--split", "train", "--path", str(root)]) == 1
    assert "4 errors" in capsys.readouterr().out, "without --decode the damaged image goes unnoticed"


def test_a_renumbered_palette_is_found(tmp_path):
    palette = make_palette(256)
    palette[[1, 2]] = palette[[2, 1]]
    (report,) = reports(make_folder(tmp_path, [label(1, 2)], palette))
    assert len(errors(report)) == 1
    assert "index 1 has the colour of class 2" in errors(report)[0] and "--palette" in errors(report)[0]


def test_palettes_that_differ_between_files_are_found(tmp_path):
    first = np.array([[0, 0, 0], [9, 9, 9], [70, 7, 7]])
    (report,) = reports(make_folder(tmp_path, [label(1, 2), label(1, 2)], [first, first[[0, 2, 1]]]))
    assert len(errors(report)) == 1 and "a1.png: index 1 is drawn in R G B (70, 7, 7) here" in errors(report)[0]


def test_any_palette_of_the_users_own_is_fine(tmp_path):
    own = np.array([[1, 1, 1], [250, 9, 9], [0, 0, 0]])
    (report,) = reports(make_folder(tmp_path, [label(1, 2), label(2)], own))
    assert report.problems == []


def test_some_of_vocs_colours_are_no_renumbered_palette(tmp_path):
    """CamVid's own colours: grey, dark red and olive are VOC's classes 7, 1 and 3, the others are not."""
    own = np.array([[128, 128, 128], [128, 0, 0], [60, 40, 222], [128, 128, 0]])
    names = [f"c{i}" for i in range(9)]
    (report,) = reports(make_folder(tmp_path, [label(1, 2, 3)], own, names))
    assert errors(report) == [] and len(notes(report)) == 1


def test_one_colour_of_vocs_is_a_note(tmp_path):
    (report,) = reports(make_folder(tmp_path, [label(1)], np.array([[0, 0, 0], [0, 128, 0]])))
    assert errors(report) == [] and "index 1 has the colour of class 2" in notes(report)[0]


def test_masks_of_0_and_255(tmp_path):
    (report,) = reports(make_folder(tmp_path, [label(255, 255)], classes=("background", "object")))
    assert errors(report) == [
        "all labels are 0 or 255, and 255 means void: masks written as 0/255 need 1 for the object"
    ]


def test_unseen_classes_and_unlabelled_images_are_notes(tmp_path):
    (report,) = reports(make_folder(tmp_path, [label(1), np.full(SIZE, 255, np.uint8)]))
    assert errors(report) == [] and len(notes(report)) == 2
    assert "a1.png: no pixel is labelled" in notes(report)[0] and "1 classes never occur: car" in notes(report)[1]


def test_colours_outside_the_palette_file(tmp_path):
    root = make_folder(tmp_path, [np.full(SIZE + (3,), 5, np.uint8)])
    (root / "p.txt").write_text("1 2 3 sky\n")
    (report,) = reports(root, palette=str(root / "p.txt"))
    assert "80 pixels in 1 colours are not in" in errors(report)[0]


def test_a_set_that_cannot_be_opened(tmp_path, capsys):
    assert main(["--dataset", "nyud", "--split", "test", "--path", str(tmp_path)]) == 1
    assert "error:" in capsys.readouterr().out


@pytest.mark.parametrize("name, split, folder", [("siftflow", "test", "siftflow"), ("nyud", "test", "nyud")])
def test_recorded_sets_pass(reference_dir, name, split, folder):
    dataset = segmentation_set(name, split, dataset_path=str(reference_dir / "fcn" / "data" / folder))
    found = check(dataset, decode=True)
    assert [report.task for report in found] == list(dataset.tasks)
    assert all(errors(report) == [] for report in found)


def test_real_camvid_passes(data_dir):
    assert main(["--dataset", "camvid", "--split", "val", "--path", str(data_dir / "camvid")]) == 0


def test_real_depth_with_holes_is_a_problem(data_dir, tmp_path):
    for kind, name in (("images", "images"), ("depth", "rawdepth"), ("hha", "images")):
        (tmp_path / "data" / kind).mkdir(parents=True)
        (tmp_path / "data" / kind / "img_1.png").write_bytes((data_dir / "nyud_sample" / f"{name}.png").read_bytes())
    (tmp_path / "test.txt").write_text("1\n")
    (report,) = check(segmentation_set("nyud", "test", dataset_path=str(tmp_path)))
    assert "depth is 0" in errors(report)[0] and "img_1.mat: no such label" in errors(report)[1]
