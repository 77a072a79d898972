"""Class lists of several programs: the names are those of the labels, or the list is refused."""

import pytest

from fullconv.lib.dataset import notice
from fullconv.lib.dataset.class_list import label_names, object_names
from fullconv.lib.dataset.errors import DatasetError


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(notice, "_said", set())


@pytest.fixture
def make(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "classes.txt"
        path.write_text(text.replace("/", "\n"), encoding=encoding)
        return str(path)

    return write


@pytest.mark.parametrize(
    "text",
    [
        "cat/dog",
        "background/cat/dog",
        "_background_/cat/dog",
        "__ignore__/_background_/cat/dog",
        "__ignore__/cat/dog",
        "\ufeffcat/dog",
        "\ufeff__background__//cat/  dog ",
        "1: cat/2: dog",
        "1 cat/2 dog",
        "1. cat/2. dog",
        "0: background/1: cat/2: dog",
        "0 _background_/1 cat/2 dog",
    ],
)
def test_classes_of_objects(make, text):
    assert object_names(make(text)) == ["cat", "dog"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("sky/road", ["sky", "road"]),
        ("__ignore__/_background_/cat", ["_background_", "cat"]),
        ("0: sky/1: road", ["sky", "road"]),
        ("0 sky/1 road", ["sky", "road"]),
        ("\ufeff0\tnight stand/1\ttv", ["night stand", "tv"]),
        # names that begin with a number
        ("2 euro/50 cent/10 cent", ["2 euro", "50 cent", "10 cent"]),
        ("1 euro/2 euro", ["1 euro", "2 euro"]),
        ("3d printer/4 legs", ["3d printer", "4 legs"]),
        ("7 segments", ["7 segments"]),
    ],
)
def test_labels(make, text, expected):
    assert label_names(make(text)) == expected


def test_what_was_done_is_said_once(make, caplog):
    path = make("__ignore__/_background_/cat")
    for _ in range(2):
        object_names(path)
    assert caplog.text.count("'__ignore__' names no label and is left out") == 1
    assert caplog.text.count("'_background_' is label 0 and no class of objects") == 1
    object_names(make("1 cat/2 dog"))
    assert "lines are numbered: '1 cat' is taken for 'cat' with number 1" in caplog.text


@pytest.mark.parametrize(
    "read, text, message",
    [
        (object_names, "cat/background/dog", "the background is label 0: make it the first line"),
        (object_names, "background", "no class but the background"),
        (object_names, "0: cat/1: dog", "'cat' has number 0, where 1 is needed because the background is label 0"),
        (object_names, "1: background/2: cat", "'background' has number 1, where 0 is needed"),
        (label_names, "1: sky/2: road", "'sky' has number 1, where 0 is needed because labels count from 0"),
        (label_names, "0: sky/2: road", "numbered as '0: sky', but not all of them one after the other"),
        (label_names, "0: sky/road", "not all of them one after the other"),
        (label_names, "", "the class list is empty"),
        (label_names, "__ignore__", "the class list is empty"),
        (label_names, "a/b/a", "class 'a' is listed twice"),
    ],
)
def test_lists_that_are_refused(make, read, text, message):
    with pytest.raises(DatasetError, match=message):
        read(make(text))


@pytest.mark.parametrize(
    "encoding, message", [("utf-16", "is UTF-16 text"), ("utf-16-le", "is UTF-16"), ("latin-1", "is not")]
)
def test_other_encodings(make, encoding, message):
    with pytest.raises(DatasetError, match=message + ".*save it as UTF-8"):
        label_names(make("ärmel/cat", encoding))
