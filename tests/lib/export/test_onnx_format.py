"""Files: what is written is read, by us and by others; what is no model is refused."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.export import onnx_format
from fullconv.lib.export.network import Exportable, onnx_model
from fullconv.lib.export.onnx_format import OPSET, FormatError, Value, read_head
from tests.lib.export.helpers import session

METADATA = {"fullconv.method": "nothing", "names": "Zürich\n漢字", "empty": ""}


@pytest.fixture
def model(tmp_path):
    """Path of a convolution with two outputs."""
    x = mx.sym.Variable("data")
    conv = mx.sym.Convolution(x, num_filter=2, kernel=(3, 3), stride=(2, 2), name="c")
    symbol = mx.sym.Group([conv, mx.sym.mean(conv, axis=(2, 3))])
    params = {"c_weight": np.ones((2, 3, 3, 3)), "c_bias": np.zeros(2)}
    network = Exportable(symbol, params, {"data": 3}, ["P3/logits", "mean"], METADATA)
    path = tmp_path / "model.onnx"
    onnx_format.write(str(path), onnx_model(network, "net", "1.2.3"))
    return path


def test_the_head_says_what_was_written(model):
    head = read_head(str(model))
    assert head == ("fullconv", OPSET, METADATA, ("data",), ("P3/logits", "mean"))


def test_engines_read_names_shapes_and_metadata(model):
    opened = session(model.read_bytes())
    assert opened.get_modelmeta().custom_metadata_map == METADATA
    assert [(i.name, i.shape) for i in opened.get_inputs()] == [("data", ["N", 3, "H", "W"])]
    names = [(o.name, o.shape) for o in opened.get_outputs()]
    assert names == [("P3/logits", ["N", 2, "P3/logits/axis2", "P3/logits/axis3"]), ("mean", ["N", 2])]


def test_all_kinds_of_attributes_survive():
    onnx = pytest.importorskip("onnx")
    node = onnx_format.encode_node(
        "Odd", ["a", ""], ["b"], {"i": -3, "f": 0.5, "s": "text", "ints": (1, -2), "none": (), "big": 2**40}
    )
    model = b"".join(onnx_format.encode_model("g", "1", [node], [], [], [Value("b", ("N",))], {}))
    (found,) = onnx.load_from_string(model).graph.node
    values = {a.name: onnx.helper.get_attribute_value(a) for a in found.attribute}
    assert values == {"i": -3, "f": 0.5, "s": b"text", "ints": [1, -2], "none": [], "big": 2**40}
    assert list(found.input) == ["a", ""] and found.name == "b"


def test_a_model_of_someone_else_has_a_head_too(tmp_path):
    onnx = pytest.importorskip("onnx")
    make = onnx.helper.make_tensor_value_info
    x, y = (make(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    domains = [onnx.helper.make_opsetid("com.other", 3), onnx.helper.make_opsetid("", 11)]
    path = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch", opset_imports=domains), str(path))
    assert read_head(str(path)) == ("pytorch", 11, {}, ("x",), ("y",))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x08\x09", b"\x12\xff\xff", np.arange(300).tobytes()])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="a.onnx.*no ONNX model"):
        read_head(str(path))


def test_every_truncation_is_refused_or_harmless(model):
    whole = model.read_bytes()
    for length in range(0, len(whole), 7):
        model.write_bytes(whole[:length])
        try:
            head = read_head(str(model))
        except FormatError as error:
            assert str(model) in str(error)
        else:  # cut between two fields: the opset or metadata is missing, which who opens a model asks for
            assert head.opset != OPSET or head.metadata != METADATA


def test_a_model_beyond_two_gigabytes_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_format, "LARGEST_MESSAGE", 1000)
    tensors = onnx_format.encode_tensor("w", np.zeros(300, np.float32))
    with pytest.raises(FormatError, match="net: 1... bytes, and an ONNX file of one piece ends at 2 GB"):
        onnx_format.encode_model("net", "1", [], tensors, [], [], {})
