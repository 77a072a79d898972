"""Problems of one kind are one line."""

from fullconv.lib.dataset.detection.coco_format import Problem
from fullconv.lib.tools import findings


def test_a_line_for_each_kind():
    problems = [
        Problem(f"annotation {i}", f"field 'category_id' is {i + 90}, not one of categories") for i in range(50)
    ]
    problems += [Problem("annotation 7", "field 'image_id' is 97, not one of images")]
    problems += [Problem(f"image {i}", f"/a/b{i}.jpg: object {i} is empty", fatal=False) for i in range(2)]
    lines = findings.lines(problems)
    assert lines == [
        "error, 50 times: annotation 0: field 'category_id' is 90, not one of categories; the same: annotation 1, "
        "annotation 2 and 47 more",
        "error: annotation 7: field 'image_id' is 97, not one of images",
        "note, 2 times: image 0: /a/b0.jpg: object 0 is empty; the same: image 1",
    ]
    assert len(findings.lines(problems, every=True)) == 53
    assert findings.count_line(problems) == "51 errors, 2 notes"


def test_errors_come_first():
    lines = findings.lines([Problem("image 1", "small", fatal=False), Problem("image 2", "gone")])
    assert lines == ["error: image 2: gone", "note: image 1: small"]


def test_values_do_not_make_another_kind():
    def kind(text):
        return findings.kind_of(Problem("annotation 1", text))

    assert kind("field 'bbox' is [1, 2]: give x") == kind("field 'bbox' is [[3.5]]: give x")
    assert kind("polygon [1, 2, 3... is not") == kind("polygon [1... is not")
    assert kind("name 'a b' is used twice") == kind("name 'c' is used twice")
    assert kind("field 'bbox' is 'x'") != kind("field 'area' is 'x'")
