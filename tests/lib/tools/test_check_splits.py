"""Split lists: counts, overlaps, and the published lists themselves where they are at hand."""

import pytest

from fullconv.lib.tools.check_splits import Lists, check, check_sbd_overlap, main

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
