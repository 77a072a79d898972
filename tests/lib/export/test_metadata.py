"""What a file says about itself comes back as it was; files of others, of other versions, and hostile ones do not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np
import pytest

from fullconv.lib.export import onnx_format
from fullconv.lib.export.metadata import VERSION, MetadataError, describe, texts
from fullconv.lib.export.onnx_format import FormatError, encode_model


@dataclass(frozen=True)
class Inner:
    limit: float = 0.5
    rounds: int = 2


class Outer(NamedTuple):
    scales: Tuple[Tuple[int, int], ...]
    means: Tuple[float, ...]
    pair: Tuple[int, int]
    name: str
    flag: bool
    inner: Inner


OUTER = Outer(((600, 1000), (300, 500)), (1.0, 2.5), (3, 4), "größe", True, Inner())
REMEDY = "python -m fullconv.nothing.export"


def write(path, metadata: Dict[str, str], producer: str = "fullconv", opset: int = onnx_format.OPSET) -> str:
    whole = b"".join(encode_model("g", "1", [], [], [], [], metadata))
    whole = whole.replace(b"\x12\x08fullconv", bytes([0x12, len(producer)]) + producer.encode())
    path.write_bytes(whole.replace(bytes([0x10, onnx_format.OPSET]), bytes([0x10, opset])))
    return str(path)


def metadata(**changes: Any) -> Dict[str, str]:
    found = texts("nothing", {"outer": OUTER, "names": {1: "a", 7: "b"}, "array": np.float32([1, 2])})
    found.update({f"fullconv.{key}": value for key, value in changes.items()})
    return {key: value for key, value in found.items() if value is not None}


def test_values_come_back(tmp_path):
    about = describe(write(tmp_path / "a.onnx", metadata()), "nothing", REMEDY)
    assert about.spec("outer", Outer) == OUTER
    assert about.categories("names") == {1: "a", 7: "b"} and about.value("array") == [1.0, 2.0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"producer": "pytorch"}, "a.onnx: exported by pytorch: .* make one with `python -m fullconv.nothing.export`"),
        ({"metadata": metadata(method=None)}, "a.onnx: not exported by fullconv"),
        ({"metadata": {}}, "a.onnx: not exported by fullconv"),
        ({"opset": 11}, "a.onnx: opset 11, this version writes and reads 19"),
        ({"metadata": metadata(form="2")}, "a.onnx: metadata of form 2, this version reads 1"),
        ({"metadata": metadata(form=None)}, "metadata of form None"),
        ({"metadata": metadata(method='"other"')}, "a.onnx: a model of other, not of nothing"),
        ({"metadata": metadata(outer="{")}, "a.onnx: fullconv.outer is no json"),
        ({"metadata": metadata(outer="[" * 100000)}, "fullconv.outer is no json"),
    ],
)
def test_files_that_are_not_taken(tmp_path, options, message):
    options = {"metadata": metadata(), **options}
    with pytest.raises(MetadataError, match=message):
        describe(write(tmp_path / "a.onnx", **options), "nothing", REMEDY)


def changed(**changes: Any) -> str:
    values = json.loads(metadata()["fullconv.outer"])
    return json.dumps({**values, **changes})


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "lacks fullconv.outer: export the model again"),
        ("[]", r"fullconv.outer must hold flag, inner, means, name, pair, scales; it holds \[\]"),
        (changed(more=1), "must hold .* it holds flag, inner, means, more"),
        (changed(name=3), "fullconv.outer.name must be str, it is 3"),
        (changed(flag=1), "fullconv.outer.flag must be bool, it is 1"),
        (changed(pair=[1]), r"fullconv.outer.pair must be a list of 2, it is \[1\]"),
        (changed(pair=[1, 2.5]), r"fullconv.outer.pair\[1\] must be int, it is 2.5"),
        (changed(means=["a"]), r"fullconv.outer.means\[0\] must be float, it is 'a'"),
        (changed(means=True), "fullconv.outer.means must be a list, it is True"),
        (changed(inner={"limit": 1}), "fullconv.outer.inner must hold limit, rounds; it holds limit"),
    ],
)
def test_values_of_another_kind(tmp_path, text, message):
    about = describe(write(tmp_path / "a.onnx", metadata(outer=text)), "nothing", REMEDY)
    with pytest.raises(MetadataError, match=message):
        about.spec("outer", Outer)


@pytest.mark.parametrize("text", ["[]", '{"1": 2}', "3", '{"-1": "a"}', '{"one": "a"}'])
def test_names_are_texts(tmp_path, text):
    about = describe(write(tmp_path / "a.onnx", metadata(names=text)), "nothing", REMEDY)
    with pytest.raises(MetadataError, match="fullconv.names must be names by category id"):
        about.categories("names")


def test_what_is_no_model(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(FormatError, match="no ONNX model"):
        describe(str(tmp_path / "a.onnx"), "nothing", REMEDY)


def test_numbers_that_json_does_not_know_are_not_written():
    with pytest.raises(ValueError):
        texts("nothing", {"a": float("nan")})


def test_the_version_is_the_packages():
    text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text()
    assert re.search(r'^version = "(.*)"$', text, re.M).group(1) == VERSION
