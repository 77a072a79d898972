"""RPN targets against `assign_anchor.npz`, random draws included."""

import numpy as np

from fullconv.lib.rpn.assign_anchor import AnchorConfig, assign_anchor

SETTINGS = {"clobber": {"clobber_positives": True}, "smallbatch": {"batch_size": 16}}


class Recorder(np.random.RandomState):
    """A random state that notes the arguments and results of each draw."""

    def __init__(self, seed):
        super().__init__(seed)
        self.calls, self.results = [], []

    def choice(self, a, size=None, replace=True, p=None):
        drawn = super().choice(a, size, replace, p)
        self.calls.append((len(a), size, replace))
        self.results.append(drawn)
        return drawn


def scales_of(label, height, width, voc, coco):
    """The recorded files do not name the scales; the number of anchors per cell does."""
    per_cell = label.size // (height * width)
    return next(scales for scales in (voc, coco) if 3 * len(scales) == per_cell)


def test_assign_anchor(fcis_reference):
    data, anchors = fcis_reference("assign_anchor"), fcis_reference("anchors")
    cases = [key[: -len("_feat")] for key in data if key.endswith("_feat")]
    assert cases
    for name in cases:
        case = {key[len(name) + 1 :]: data[key] for key in data if key.startswith(name + "_")}
        scales = scales_of(case["label"], *case["feat"], anchors["voc_scales"], anchors["coco_scales"])
        cfg = AnchorConfig(
            ratios=tuple(anchors["ratios"]),
            scales=tuple(scales),
            allowed_border=int(case["border"]),
            **SETTINGS.get(name, {}),
        )
        rng = Recorder(int(case["seed"]))
        targets = assign_anchor(case["feat"], case["gt"], case["im_info"], rng, cfg)
        for key, value in targets.items():
            assert value.shape == case[key].shape and value.dtype == np.float32
            np.testing.assert_array_equal(value, case[key].astype(np.float32), err_msg=f"{name} {key}")
        np.testing.assert_array_equal(np.reshape(rng.calls, (-1, 3)), case["rng_calls"], err_msg=name)
        np.testing.assert_array_equal(np.concatenate([[], *rng.results]), case["rng_out"], err_msg=name)
        assert rng.randint(0, 2**31 - 1) == case["rng_next_randint"], name
