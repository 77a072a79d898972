"""Checkpoints of the original FCOS, its tables of names, and files as large as the published ones."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fullconv.lib.convert import detectron, mobilenet, state_dict, torch_file, torch_writer, weights
from fullconv.lib.convert.errors import ConvertError

TAGS = ("base", "imprv", "imprv_dcnv2")
TABLES = (
    "R_50_FPN_1x",
    "R_101_FPN_2x",
    "X_101_32x8d_FPN_2x",
    "X_101_64x4d_FPN_2x",
    "imprv_R_50_FPN_1x",
    "imprv_dcnv2_R_50_FPN_1x",
    "imprv_dcnv2_X_101_64x4d_FPN_2x",
    "syncbn_bs32_MNV2_FPN_1x",
    "syncbn_bs32_c128_MNV2_FPN_1x",
)
DCN = {"R-50": (False,) * 4, "R-50_dcnv2": (False, True, True, True), "X-101": (False,) * 4}


def same(got, expected):
    assert set(got) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype and got[name].shape == array.shape


@pytest.mark.parametrize("form", ["legacyfmt", "zipfmt"])
@pytest.mark.parametrize("tag", TAGS)
def test_recorded_checkpoints_exactly(fcos_dir, fcos_reference, tag, form):
    expected = fcos_reference(f"h_weights_{tag}")
    value = torch_file.read(str(fcos_dir / f"h_{tag}_{form}.pth"))
    prefixed = all(name.startswith("module.") for name in value["model"])
    assert prefixed == (form == "legacyfmt")
    got = state_dict.model_of(value, "file")
    assert list(got) == list(expected)
    same(got, expected)


@pytest.mark.parametrize("tag", TAGS)
def test_through_every_form_and_back(fcos_dir, fcos_reference, tmp_path, tag):
    expected = fcos_reference(f"h_weights_{tag}")
    path = str(fcos_dir / f"h_{tag}_legacyfmt.pth")
    for name in ("fcos-0000.params", "fcos.safetensors", "fcos.pth"):
        arrays = weights.read(path)
        path = str(tmp_path / name)
        weights.write(path, arrays)
    same(weights.read(path), expected)
    assert list(torch_file.read(path)) == ["model"]


@pytest.mark.parametrize("form", ["legacyfmt", "zipfmt"])
def test_every_truncation_is_refused(fcos_dir, tmp_path, form):
    """At every 97th byte of the structure, and more coarsely where the numbers are."""
    content = (fcos_dir / f"h_base_{form}.pth").read_bytes()
    path = tmp_path / "model.pth"
    structure = 60_000  # pickles and, in the older form, the list of storages
    for end in (*range(0, structure, 97), *range(structure, len(content), 97 * 50)):
        path.write_bytes(content[:end])
        with pytest.raises(ConvertError, match="truncated|damaged|empty|missing|starts with"):
            torch_file.read(str(path))


@pytest.mark.parametrize("table", DCN)
def test_names_of_detectron_blobs(fcos_table, tmp_path, table):
    """A pickle of all blobs of a table fills exactly what the original fills, each array where it put it."""
    rows = fcos_table(f"l_c2_names_{table}")
    blobs = {row["caffe2_blob"]: np.full(2, n, "f4") for n, row in enumerate(rows) if row["caffe2_blob"]}
    extra = {"fc1000_w": np.zeros(3), "pred_b": np.zeros(3), "conv1_b": np.zeros(3), "res2_0_branch1_b": np.zeros(3)}
    states = {"res2_0_branch1_w_momentum": np.zeros(3), "weight_order": ["conv1_w"]}
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"blobs": {**blobs, **extra, **states}}, 2))
    renamed = detectron.rename(detectron.read(str(path)), DCN[table])
    for row in rows:
        if row["caffe2_blob"]:
            np.testing.assert_array_equal(renamed[row["renamed"]], blobs[row["caffe2_blob"]])
    expected = {state_dict.ours(row["model_key"]): (2,) for row in rows}
    fit = state_dict.fit(expected, renamed, allow_missing=detectron.STAYS, allow_unexpected=detectron.UNUSED)
    assert fit.filled == {state_dict.ours(row["model_key"]): row["renamed"] for row in rows if row["caffe2_blob"]}
    for row in rows:
        if row["caffe2_blob"]:
            np.testing.assert_array_equal(fit.params[state_dict.ours(row["model_key"])], blobs[row["caffe2_blob"]])
    assert len(fit.kept) == len(rows) - len(blobs) and len(fit.unused) == len(extra)


def shape_of(row):
    """Shape in a row of a table; a counter has none."""
    return () if row["shape"] == "scalar" else tuple(map(int, row["shape"].split("x")))


def made(rows, width):
    """Random arrays by a table's names and shapes, every length divided by `width`; counters are integers."""
    rng = np.random.RandomState(0)
    arrays = {}
    for row in rows:
        shape = [max(length // width, 1) for length in shape_of(row)]
        arrays[row["name"]] = rng.standard_normal(shape).astype("f4") if shape else np.array(rng.randint(1000), "i8")
    return arrays


@pytest.mark.parametrize("table", TABLES)
def test_published_networks_by_name(fcos_table, tmp_path, table):
    """Every table's network at a quarter of its width; the smallest at its full size."""
    rows = fcos_table(f"m_state_dict_fcos_{table}")
    arrays = made(rows, 1 if "c128" in table else 4)
    path = str(tmp_path / "model.pth")
    torch_writer.write(path, {f"module.{name}": array for name, array in arrays.items()})
    whole = torch_file.read(path)["model"]
    same({name[len("module.") :]: array for name, array in whole.items()}, arrays)
    read = weights.read(path)
    expected = {
        state_dict.ours(name): arrays[name].shape for name in arrays if not name.endswith("num_batches_tracked")
    }
    assert len(expected) == len(set(expected)) == sum(bool(shape_of(row)) for row in rows)
    fit = state_dict.fit(expected, read)
    assert set(fit.params) == set(expected) and not fit.kept and not fit.unused
    again = {state_dict.theirs(name): array for name, array in fit.params.items()}
    weights.write(path, again)
    same(weights.read(path), {name: array for name, array in arrays.items() if array.dtype != "i8"})


def test_the_largest_published_file(fcos_table, tmp_path):
    """X-101-64x4d with deformable convolutions, at its full size of 390 MB."""
    rows = fcos_table("m_state_dict_fcos_imprv_dcnv2_X_101_64x4d_FPN_2x")
    arrays = {row["name"]: np.full(shape_of(row), n, "f4") for n, row in enumerate(rows)}
    path = str(tmp_path / "model.pth")
    weights.write(path, arrays)
    same(weights.read(path), arrays)


def test_fine_tuning_on_other_classes(fcos_table):
    rows = fcos_table("m_state_dict_fcos_R_50_FPN_1x")
    arrays = made(rows, 4)
    expected = {state_dict.ours(name): array.shape for name, array in arrays.items()}
    expected["rpn.head.cls_logits_weight"] = (7, *expected["rpn.head.cls_logits_weight"][1:])
    expected["rpn.head.cls_logits_bias"] = (7,)
    with pytest.raises(ValueError, match="checkpoint has 20 classes, config has 7"):
        state_dict.fit(expected, arrays)
    fit = state_dict.fit(expected, arrays, leave_out=("rpn.head.cls_logits_*",))
    assert len(fit.filled) == 322 and fit.kept == ["rpn.head.cls_logits_weight", "rpn.head.cls_logits_bias"]


@pytest.mark.parametrize("name", ["mobilenet_v2_imagenet", "mobilenet_v2_imagenet_fcos_input"])
@pytest.mark.parametrize("table", [table for table in TABLES if "MNV2" in table])
def test_imagenet_mobilenet_fills_the_body(data_dir, fcos_table, name, table):
    rows = fcos_table(f"m_state_dict_fcos_{table}")
    expected = {state_dict.ours(row["name"]): shape_of(row) for row in rows if shape_of(row)}
    path = str(data_dir / "weights" / f"{name}.npz")
    fit = state_dict.fit(expected, weights.read(path), allow_missing=("backbone.fpn.*", "rpn.*"))
    assert set(fit.filled) == {key for key in expected if key.startswith("backbone.body.")} and not fit.unused
    folded = mobilenet.read_npz(path)
    np.testing.assert_array_equal(
        fit.params["backbone.body.features.17.conv.6_weight"], folded["features.17.conv.6.weight"]
    )
    np.testing.assert_array_equal(
        fit.params["backbone.body.features.17.conv.7_bias"], folded["features.17.conv.6.bias"]
    )
