"""Images of a batch do not see each other, and a mirrored image has mirrored rois, boxes and masks."""

from __future__ import annotations

from dataclasses import replace

import mxnet as mx
import numpy as np

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.symbols import inference
from fullconv.fcis.symbols.fcis import FCIS, Maps
from fullconv.fcis.symbols.maps import GROUP
from fullconv.fcis.tester import roi_predictions

CFG = "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"
CLASSES, ROIS, WIDTH = 4, 12, 128
SMALL = ["network.ANCHOR_SCALES", "[1,2,4]", "TEST.RPN_POST_NMS_TOP_N", str(ROIS)]


def executor(images: int, rng: np.random.RandomState, **shapes: tuple) -> mx.executor.Executor:
    """The test graph of two rounds, with random weights."""
    config = fcis_config.load(CFG, SMALL)
    test = replace(assembly.test_spec(config), images=images)
    symbol = FCIS(assembly.network_spec(config, CLASSES)).test_symbol(test)
    found = symbol.simple_bind(mx.cpu(), grad_req="null", im_info=(images, 3), **shapes)
    for _, array in sorted(found.arg_dict.items()):
        array[:] = rng.randn(*array.shape) * 0.1
    found.arg_dict["im_info"][:] = np.array([[96, WIDTH, 1.0]] * images)
    return found


def outputs(bound: mx.executor.Executor) -> dict:
    bound.forward()
    return {name[: -len("_output")]: array.asnumpy() for name, array in bound.output_dict.items()}


def test_a_batch_gives_what_its_images_give_alone() -> None:
    size = (3, 96, WIDTH)
    images = np.random.RandomState(1).randn(2, *size) * 50
    both = executor(2, np.random.RandomState(0), data=(2, *size))
    both.arg_dict["data"][:] = images
    together = outputs(both)
    # Rounds come after each other, images within them.
    rounds = {"rois": (2, 2, ROIS, 5), "seg_pred": (2, 2, ROIS, 2, 21, 21), "cls_prob_reshape": (2, 2, ROIS, CLASSES)}
    rounds["bbox_pred_reshape"] = (2, 2, ROIS, 8)
    for k in range(2):
        single = executor(1, np.random.RandomState(0), data=(1, *size))
        for name, array in both.arg_dict.items():
            if name not in ("data", "im_info"):
                array.copyto(single.arg_dict[name])
        single.arg_dict["data"][:] = images[k : k + 1]
        alone = outputs(single)
        assert alone["cls_prob_reshape"].std() > 1e-3
        for name, shape in rounds.items():
            found = together[name].reshape(shape)[:, k]
            expected = alone[name].reshape(2, *shape[2:])
            if name == "rois":
                assert (found[..., 0] == k).all()
                found, expected = found[..., 1:], expected[..., 1:]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def mirrored(maps: dict) -> dict:
    """Maps as a network that saw the mirrored image would have them: parts of an object and steps in x are turned."""

    def turned(boxes: np.ndarray) -> np.ndarray:
        """Boxes' numbers are dx, dy, dw, dh in turn, on the second axis."""
        sign = np.where(np.arange(boxes.shape[1]) % 4 == 0, -1, 1)
        return boxes * sign.reshape(1, -1, *[1] * (boxes.ndim - 2))

    def parts(array: np.ndarray) -> np.ndarray:
        grid = array.reshape(1, -1, GROUP, GROUP, *array.shape[2:])
        return grid[:, :, :, ::-1, :, ::-1]

    return {
        "rpn_cls_score": maps["rpn_cls_score"][..., ::-1],
        "rpn_bbox_pred": turned(maps["rpn_bbox_pred"])[..., ::-1],
        "cls_seg": parts(maps["cls_seg"]).reshape(maps["cls_seg"].shape),
        "bbox": turned(parts(maps["bbox"])).reshape(maps["bbox"].shape),
    }


def test_mirrored_maps_give_mirrored_rois(monkeypatch) -> None:
    """From the maps on: proposals, two rounds of pooling, class, box and mask. (The convolutions before them have the
    symmetry of their sizes: tests/lib/network/test_mirror.py.)"""
    cells = GROUP * GROUP
    shapes = {"rpn_cls_score": 18, "rpn_bbox_pred": 36, "cls_seg": 2 * CLASSES * cells, "bbox": 8 * cells}
    shapes = {name: (1, channels, 6, WIDTH // 16) for name, channels in shapes.items()}
    monkeypatch.setattr(inference, "network_maps", lambda spec: (Maps(*map(mx.sym.Variable, Maps._fields)), 16))
    rng = np.random.RandomState(3)
    maps = {name: rng.randn(*shape) * (0.3 if "bbox" in name else 2) for name, shape in shapes.items()}
    bound = executor(1, rng, **shapes)
    results = []
    for given in (maps, mirrored(maps)):
        for name, array in given.items():
            bound.arg_dict[name][:] = array
        results.append(roi_predictions(outputs(bound), 1.0, (96, WIDTH)))
    plain, other = results
    assert len(plain.boxes) == 2 * ROIS and len(np.unique(plain.boxes, axis=0)) > ROIS
    back = other.boxes.copy()
    back[:, [0, 2]] = WIDTH - 1 - back[:, [2, 0]]
    np.testing.assert_allclose(back, plain.boxes, rtol=0, atol=1e-4)
    np.testing.assert_allclose(other.scores, plain.scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(other.masks[..., ::-1], plain.masks, rtol=0, atol=1e-4)
