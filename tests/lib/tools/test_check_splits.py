"""Split lists: counts, overlaps, and the published lists themselves where they are at hand."""

import pytest

from fullconv.lib.tools.check_splits import Lists, check, check_sbd_overlap, check_sds_files, main

SET = Lists("two", {"train.txt": 2, "test.txt": 1}, ("train.txt", "test.txt"))


def write(folder, train="a\nb", test="c"):
    (folder / "train.txt").write_text(train)
    if test is not None:
        (folder / "test.txt").write_text(test)
    return str(folder)


def test_right_lists(tmp_path):
    assert [right for right, _ in check(SET, write(tmp_path))] == [True, True]


@pytest.mark.parametrize(
    "train, test, message",
    [
        ("a", "c", "1 images, the published list has 2"),
        ("a\nb", "b", "share 1 images, first b"),
        ("a\nb", None, "no such split list"),
        ("a\na\nb", "c", "a is listed twice"),
    ],
)
def test_wrong_lists(tmp_path, train, test, message):
    wrong = [line for right, line in check(SET, write(tmp_path, train, test)) if not right]
    assert len(wrong) == 1 and message in wrong[0]


def test_training_images_in_the_test_list(tmp_path):
    path = write(tmp_path)
    assert check_sbd_overlap(str(tmp_path / "test.txt"), path)[0][0]
    (tmp_path / "test.txt").write_text("a\nb")
    assert check_sbd_overlap(str(tmp_path / "test.txt"), path) == [
        (False, f"{tmp_path / 'test.txt'} and SBD train.txt share 2 images: training images would be tested")
    ]


def test_published_lists(data_dir, capsys):
    lists = data_dir / "photos" / "fcn" / "data"
    arguments = ["--nyud", str(lists / "nyud"), "--siftflow", str(lists / "sift-flow")]
    assert main([*arguments, "--seg11valid", str(lists / "pascal" / "seg11valid.txt")]) == 0
    assert capsys.readouterr().out.count("ok:") == 6


def test_exit_status(tmp_path, capsys):
    assert main(["--sbd", write(tmp_path)]) == 1
    assert "the published list has 8498" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([])


def test_sds_lists_and_files(tmp_path, capsys):
    voc = tmp_path / "VOCSDS"
    for folder in ("ImageSets/Main", "img", "inst"):
        (voc / folder).mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "train.txt").write_text("".join(f"a{i}\n" for i in range(5623)))
    (voc / "ImageSets" / "Main" / "val.txt").write_text("".join(f"b{i}\n" for i in range(5732)))
    for i in range(3):
        (voc / "img" / f"a{i}.jpg").touch()
    assert main(["--sds", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "5623 images\n" in printed and "5732 images\n" in printed
    assert "img: 3 of 11355 files, the first missing is a3.jpg" in printed and "cls: 0 of 11355" in printed
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a0\nb1\n")
    (voc / "ImageSets" / "Main" / "val.txt").write_text("b1\n")
    assert main(["--sds", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "2 images, the published list has 5623" in printed and "share 1 images, first b1" in printed


def test_sds_files_that_are_all_there(tmp_path):
    for folder, file in (("img", "a.jpg"), ("inst", "a.mat"), ("cls", "a.mat")):
        (tmp_path / "VOCSDS" / folder).mkdir(parents=True)
        (tmp_path / "VOCSDS" / folder / file).touch()
    lists = tmp_path / "VOCSDS" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    assert check_sds_files(str(tmp_path)) == []
    (lists / "val.txt").write_text("a\n")
    assert all(right for right, _ in check_sds_files(str(tmp_path)))
