"""Data and configurations made to cost much: within four times the file and 64 MB in five seconds, or refused."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fullconv.fcis.config import load as load_config
from fullconv.lib.core import checkpoint, params_file
from fullconv.lib.core.checked_file import read_arrays
from fullconv.lib.dataset.detection.coco_format import find_problems, read_json
from fullconv.lib.dataset.image import read_image
from fullconv.lib.dataset.segmentation.label_files import read_label_mat
from fullconv.lib.dataset.xml_file import read_xml
from tests.fuzz.campaign import SECONDS, SPARE_MEMORY, cost

CHAIN = "".join(f"x{n + 1}: &x{n + 1} {{<<: [{', '.join([f'*x{n}'] * 9)}]}}\n" for n in range(8))
LISTS = "".join(f"x{n + 1}: &x{n + 1} [{', '.join([f'*x{n}'] * 9)}]\n" for n in range(9))


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def variable(name, count):
    sizes = element(5, struct.pack("<ii", 1, count))
    packed = zlib.compress(
        element(14, element(6, struct.pack("<II", 9, 0)) + sizes + element(1, name) + element(2, bytes(count)))
    )
    return struct.pack("<II", 15, len(packed)) + packed


def mat(*variables):
    return b" " * 124 + b"\0\1IM" + b"".join(variables)


def params(arrays):
    file = io.BytesIO()
    params_file.write(file, arrays)
    return file.getvalue()


def jpeg_of_many_scans():
    """A flat picture, and then the first of its AC coefficients again and again."""
    file = io.BytesIO()
    Image.new("L", (1000, 1000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[start:end] * 20_000 + data[end:]


def coco(images):
    return ('{"images": [' + images + '], "categories": [], "annotations": []}').encode()


FILES = {
    "yaml: merges of merges": (
        "a.yaml",
        ("x0: &x0 {a: 1, b: 2}\n" + CHAIN).encode(),
        load_config,
        "more than 10000 values",
    ),
    "yaml: lists of lists": ("a.yaml", ("x0: &x0 [x, x]\n" + LISTS).encode(), load_config, "more than 10000 values"),
    "yaml: inside of itself": ("a.yaml", b"gpus: &a [*a]\n", load_config, "more than 10000 values"),
    "yaml: many keys": ("a.yaml", b"a: 1\n" * 100_000, load_config, "letters, more than"),
    "mat: many large variables": ("a.mat", mat(*[variable(b"x", 40 << 20)] * 40), None, "no variable S"),
    "mat: a large variable": ("a.mat", mat(variable(b"S", 60 << 20)), None, "larger than"),
    "xml: elements": ("a.xml", b"<a>" + b"<b/>" * 3_000_000 + b"</a>", read_xml, "more than 200000 elements"),
    "xml: text between elements": ("a.xml", b"<a>" + b"x<b/>" * 190_000 + b"</a>", read_xml, ""),
    "xml: text in pieces": ("a.xml", b"<a>" + b"<![CDATA[x]]>" * 1_000_000 + b"</a>", read_xml, ""),
    "xml: entities": ("a.xml", b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><a>&d;</a>', read_xml, "a DTD"),
    "coco: brackets": ("a.json", coco("[]," * 3_000_000 + "[]"), None, "brackets"),
    "coco: depth": ("a.json", coco("[" * 900_000), None, "brackets"),
    "coco: digits": ("a.json", coco("9" * 4_000_000), None, "not a JSON file"),
    "params: many arrays": ("a.params", None, read_arrays, "more than 50000"),
    "resume: json": ("a-0001.resume", None, None, "no resume file"),
    "jpeg: scans": ("a.jpg", None, read_image, "more than 100 scans"),
}


def read_coco(path):
    return find_problems(read_json(path))


def read_resume(path):
    return checkpoint.load_state(path[: -len("-0001.resume")], 1)


def read_mat(path):
    return read_label_mat(path, "S", (1, 1))


MADE = {
    "params: many arrays": lambda: params({str(n): np.zeros(1, "f4") for n in range(60_000)}),
    "resume: json": lambda: params({"json": np.frombuffer(b'{"progress": [' + b"[]," * 2_000_000 + b"1]}", np.uint8)}),
    "jpeg: scans": jpeg_of_many_scans,
}
READ = {".mat": read_mat, ".json": read_coco, ".resume": read_resume}


@pytest.mark.parametrize("name", FILES)
def test_costs_little_or_is_refused(name, tmp_path):
    file, content, read, text = FILES[name]
    path = tmp_path / file
    path.write_bytes(MADE[name]() if content is None else content)
    read = read or READ[path.suffix]
    error, seconds, memory = cost(lambda path: read(str(path)), path)
    assert text in error and bool(text) == bool(error)
    assert not error or path.name in error and len(error) < 5000
    assert seconds < SECONDS
    assert memory < 4 * path.stat().st_size + SPARE_MEMORY


def test_a_picture_with_gigabytes_behind_it(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(path)
    with open(path, "r+b") as file:
        file.truncate(8 << 30)  # of zeros, which take no room on most disks
    error, seconds, memory = cost(lambda path: read_image(str(path)), path)
    assert "a.png: 8589934592 bytes are too many for its 16 pixels" in error
    assert seconds < SECONDS and memory < SPARE_MEMORY


def test_brackets_of_real_sets_are_not_too_many(tmp_path):
    record = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [1, 2, 3, 4],
        "segmentation": [[1, 2, 3, 2, 3, 4, 1, 4]],
    }
    images, categories = [{"id": 1, "file_name": "a.png", "height": 9, "width": 9}], [{"id": 1, "name": "a"}]
    path = tmp_path / "a.json"
    records = [{**record, "id": n} for n in range(100_000)]
    content = {"images": images, "categories": categories, "annotations": records}
    path.write_text(json.dumps(content, separators=(",", ":")))
    assert len(read_json(str(path))["annotations"]) == 100_000
