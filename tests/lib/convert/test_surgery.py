"""Surgery without recorded data: nothing is changed in place, nothing is filled by repetition."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.convert import surgery
from fullconv.lib.convert.errors import ConvertError


def arrays(**shapes):
    rng = np.random.RandomState(0)
    return {name: rng.randn(*shape).astype(np.float32) for name, shape in shapes.items()}


def test_upsampling_a_constant_is_constant():
    for size in (1, 2, 3, 4, 7, 16, 63, 64):
        kernel, stride = surgery.upsample_filt(size), (size + 1) // 2
        tiled = np.zeros((size + 4 * stride,) * 2)
        for y in range(5):
            for x in range(5):
                tiled[y * stride : y * stride + size, x * stride : x * stride + size] += kernel
        inside = tiled[size : 4 * stride, size : 4 * stride]
        np.testing.assert_allclose(inside, 1, atol=1e-12)


def test_inputs_stay_as_they_were():
    new, old = arrays(up_weight=(2, 2, 4, 4), fc_weight=(3, 4, 2, 2)), arrays(fc_weight=(3, 16), up_weight=(2, 2, 4, 4))
    copies = [{name: array.copy() for name, array in params.items()} for params in (new, old)]
    surgery.transplant(new, old)
    surgery.interp(new)
    for params, copy in zip((new, old), copies):
        assert all((params[name] == copy[name]).all() for name in params)


def test_fully_connected_becomes_convolution():
    new, old = arrays(fc_weight=(3, 4, 2, 2)), arrays(fc_weight=(3, 16))
    found, log = surgery.transplant(new, old)
    np.testing.assert_array_equal(found["fc_weight"], old["fc_weight"].reshape(3, 4, 2, 2))
    assert log == ["coercing fc 0 from (3, 16) to (3, 4, 2, 2)"]


def test_all_misfits_are_listed():
    new, old = arrays(a_weight=(3, 2), b_weight=(4, 2)), arrays(a_weight=(2, 2), b_weight=(2, 2))
    with pytest.raises(ConvertError, match=r"a 0 from \(2, 2\) to \(3, 2\)\n.*b 0 from") as error:
        surgery.transplant(new, old)
    assert "expand_score" in str(error.value)


def test_two_streams_get_their_own_weights():
    color, hha = arrays(c_weight=(2, 3), c_bias=(2,)), arrays(c_weight=(2, 3), c_bias=(2,))
    hha = {name: array + 1 for name, array in hha.items()}
    new = arrays(
        ccolor_weight=(2, 3), ccolor_bias=(2,), chha_weight=(2, 3), chha_bias=(2,), upscore_weight=(2, 2, 4, 4)
    )
    found, log = surgery.join_color_hha(new, color, hha)
    assert (found["ccolor_weight"] == color["c_weight"]).all() and (found["chha_bias"] == hha["c_bias"]).all()
    assert (found["upscore_weight"][1, 1] == surgery.upsample_filt(4).astype("f4")).all() and len(log) == 4


def test_absent_layers_are_named():
    with pytest.raises(ConvertError, match="add_depth: conv1_1_bgrd_weight, conv1_1_bgrd_bias is absent"):
        surgery.add_depth({}, arrays(conv1_1_weight=(2, 3, 3, 3), conv1_1_bias=(2,)))
    with pytest.raises(ConvertError, match="expand_score: a_weight or b_weight is absent"):
        surgery.expand_score({}, "b", {}, "a")
