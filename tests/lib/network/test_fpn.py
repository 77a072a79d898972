"""The pyramid: what each level is made from, whatever the sizes and whoever looks at it."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.fpn import FPN, FPNSpec


class Inputs:
    """A body whose three maps are given."""

    def __init__(self, channels=4):
        self.channels = channels

    def features(self, data):
        return {f"res{i}": FeatureMap(mx.sym.Variable(f"c{i}"), 2**i, self.channels) for i in (3, 4, 5)}


def run(levels, spec, sizes=((9, 12), (5, 6), (3, 3)), channels=4):
    """Values of some levels and all arrays, random and the same for every choice of levels."""
    maps = FPN(Inputs(channels), spec).features(mx.sym.Variable("data"))
    shapes = {f"c{i}": (1, channels, *size) for i, size in zip((3, 4, 5), sizes)}
    group = mx.sym.Group([maps[name].symbol for name in levels])
    used = {name: shape for name, shape in shapes.items() if name in group.list_arguments()}
    executor = group.simple_bind(mx.cpu(), grad_req="null", **used)
    for name, array in executor.arg_dict.items():
        array[:] = np.random.RandomState(sum(map(ord, name))).randn(*array.shape)
    outputs = [output.asnumpy() for output in executor.forward()]
    return dict(zip(levels, outputs)), {n.split(".")[-1]: a.asnumpy() for n, a in executor.arg_dict.items()}


ALL = ["P3", "P4", "P5", "P6", "P7"]


@pytest.mark.parametrize("sizes", [((8, 12), (4, 6), (2, 3)), ((9, 11), (5, 6), (3, 3)), ((7, 5), (4, 3), (2, 2))])
def test_sums_take_the_nearest_coarser_pixel_at_the_ratio_of_the_sizes(sizes):
    _, arrays = run(ALL, FPNSpec(channels=4), sizes)
    total = None
    for i in (5, 4, 3):
        inner = np.einsum("oc,nchw->nohw", arrays[f"fpn_inner{i - 1}_weight"][:, :, 0, 0], arrays[f"c{i}"])
        inner += arrays[f"fpn_inner{i - 1}_bias"].reshape(1, -1, 1, 1)
        if total is not None:
            (h, w), (ch, cw) = inner.shape[2:], total.shape[2:]
            inner += total[:, :, np.arange(h) * ch // h][:, :, :, np.arange(w) * cw // w]
        total = inner
    weight, bias = (mx.nd.array(arrays[f"fpn_layer2_{x}"]) for x in ("weight", "bias"))
    expected = mx.nd.Convolution(mx.nd.array(total), weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=4)
    found = run(["P3"], FPNSpec(channels=4), sizes)[0]["P3"]
    np.testing.assert_allclose(found, expected.asnumpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("top_from_body", [False, True])
def test_a_level_is_the_same_whichever_others_are_asked_for(top_from_body):
    """MXNet's fusion takes the ReLU in front of P7 for one on P6 as well, if it may."""
    spec = FPNSpec(channels=8, top_from_body=top_from_body)
    together, _ = run(ALL, spec)
    for name in ALL:
        np.testing.assert_allclose(run([name], spec)[0][name], together[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert (together["P6"] < 0).any()


def test_the_top_starts_from_the_body_only_where_channels_tell_them_apart():
    """The original compares channels, so a body with as many as the pyramid is passed over."""
    for channels, of_body in ((4, False), (6, True)):
        maps = FPN(Inputs(channels), FPNSpec(channels=4, top_from_body=True)).features(mx.sym.Variable("data"))
        assert ("backbone.fpn.fpn_layer4_weight" not in maps["P6"].symbol.list_arguments()) == of_body
