"""Net surgery against the original script: transplant, bilinear upsampling, and the repaired rest."""

from __future__ import annotations

import re

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.convert import surgery
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose


def params(arrays, prefix):
    """`<prefix><layer>_<i>` of the recording as `<layer>_weight` and `<layer>_bias`."""
    found = {}
    for key, value in arrays.items():
        match = re.fullmatch(rf"{prefix}(\w+)_([01])", key)
        if match:
            found[f"{match.group(1)}_{('weight', 'bias')[int(match.group(2))]}"] = value
    assert found
    return found


@pytest.mark.parametrize(
    "before, after, suffix, log",
    [
        ("newbefore_", "newafter_", "", "transplant"),
        ("sufbefore_", "sufafter_", "color", "transplant_suffix"),
    ],
)
def test_transplant(fcn_reference, fcn_json, before, after, suffix, log):
    """Equal to the original wherever element counts agree; where they do not, it repeats silently and we refuse."""
    arrays, lines = fcn_reference("surgery"), fcn_json("surgery_logs")[log].splitlines()
    old, new, expected = (params(arrays, prefix) for prefix in ("old_", before, after))
    clash = sorted(
        {
            n.rsplit("_", 1)[0]
            for n in old
            if n.replace("_", f"{suffix}_", 1) in new and old[n].size != new[n.replace("_", f"{suffix}_", 1)].size
        }
    )
    assert clash
    with pytest.raises(ConvertError) as error:
        surgery.transplant(new, old, suffix)
    assert all(f"{layer} 0 from" in str(error.value) for layer in clash) and "skip" in str(error.value)
    found, our_lines = surgery.transplant(new, old, suffix, skip=clash)
    untouched = tuple(layer + suffix for layer in clash)
    for name, value in found.items():
        reference = new[name] if name.startswith(untouched) else expected[name]
        np.testing.assert_array_equal(value, reference, err_msg=name)
    for ours, theirs in zip(our_lines, lines):
        assert ours == theirs or (ours.startswith("skipping") and ours[9:] == theirs[9:])
    assert len(our_lines) == len(lines)


def test_upsample_filt(fcn_reference):
    for key, expected in fcn_reference("upsample_filt").items():
        np.testing.assert_allclose(surgery.upsample_filt(int(key.split("_")[1])), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("case", ["full", "group", "odd"])
def test_interp(fcn_reference, case):
    arrays = fcn_reference("surgery")
    weight = arrays[f"interp_{case}_before"]
    found = surgery.interp({"upscore_weight": weight})["upscore_weight"]
    np.testing.assert_allclose(found, arrays[f"interp_{case}_after"], rtol=0, atol=1e-7)
    x, y = arrays[f"interp_{case}_x"], arrays[f"interp_{case}_y"]
    channels, kernel = x.shape[1], weight.shape[2]
    stride = (y.shape[2] - kernel) // (x.shape[2] - 1)
    row = rows.deconvolution("upscore", "x", channels, kernel, stride, group=channels // weight.shape[1])
    executor = compose([rows.data("x", channels), row])["upscore"].simple_bind(mx.cpu(), x=x.shape)
    executor.copy_params_from({"x": mx.nd.array(x), "upscore_weight": mx.nd.array(found)})
    np.testing.assert_allclose(executor.forward()[0].asnumpy(), y, rtol=0, atol=1e-5)


def test_interp_refuses_what_the_original_refuses(fcn_reference):
    weight = fcn_reference("surgery")["interp_full_before"]
    for wrong in (weight[:, :2], weight[..., :3], weight[0]):
        with pytest.raises(ConvertError, match="upscore"):
            surgery.interp({"upscore_weight": wrong})
    with pytest.raises(ConvertError, match="no layer 'up9'"):
        surgery.interp({"upscore_weight": weight}, ["up9"])


def test_expand_score(fcn_reference):
    arrays = fcn_reference("surgery")
    new, old = params(arrays, "exp_newbefore_"), params(arrays, "exp_old_")
    found = surgery.expand_score(new, "score_new", old, "score")
    np.testing.assert_array_equal(found["score_new_weight"], arrays["exp_intended_w"])
    np.testing.assert_array_equal(found["score_new_bias"], arrays["exp_intended_b"])
    with pytest.raises(ConvertError, match="does not fit"):
        surgery.expand_score(old, "score", new, "score_new")


def test_depth_starts_from_the_mean_colour_weight(fcn_reference):
    arrays = fcn_reference("surgery")
    bias = np.arange(len(arrays["bgrd_w3"]), dtype=np.float32)
    old = {"conv1_1_weight": arrays["bgrd_w3"], "conv1_1_bias": bias}
    new = {"conv1_1_bgrd_weight": np.zeros_like(arrays["bgrd_w4"]), "conv1_1_bgrd_bias": np.zeros_like(bias)}
    found = surgery.add_depth(new, old)
    np.testing.assert_allclose(found["conv1_1_bgrd_weight"], arrays["bgrd_w4"], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(found["conv1_1_bgrd_bias"], bias)
