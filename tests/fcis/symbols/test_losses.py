"""What each loss is divided by, and which labels the parts of the training graph see (original section 3.4)."""

import json

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.symbols.fcis import FCIS, Maps
from fullconv.fcis.symbols.heads import rpn_probability
from fullconv.fcis.symbols.losses import head_losses, rpn_losses

CFGS = "experiments/fcis/cfgs"
VOC, COCO = f"{CFGS}/resnet_v1_101_vocSDS_fcis_end2end.yaml", f"{CFGS}/resnet_v1_101_coco_fcis_end2end_ohem.yaml"
ROIS, CLASSES, SIZE = 12, 5, 21


def gradients(symbols, arrays, wanted):
    executor = mx.sym.Group(symbols).bind(
        mx.cpu(),
        {name: mx.nd.array(value) for name, value in arrays.items()},
        args_grad={name: mx.nd.zeros(arrays[name].shape) for name in wanted},
        grad_req={name: "write" if name in wanted else "null" for name in arrays},
    )
    executor.forward(is_train=True)
    executor.backward()
    return {name: executor.grad_dict[name].asnumpy() for name in wanted}


def softmax(scores, axis=1):
    exponentials = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def one_hot(label, classes):
    return np.moveaxis(np.eye(classes)[np.maximum(label, 0).astype(int)], -1, 1) * (label != -1)[:, None]


@pytest.mark.parametrize("cfg, divisor", [(VOC, 128), (COCO, 128)])
def test_head_losses(cfg, divisor):
    config = fcis_config.load(cfg)
    network, train = assembly.network_spec(config, CLASSES), assembly.train_spec(config)
    rng = np.random.RandomState(0)
    arrays = {
        "cls": rng.randn(ROIS, CLASSES),
        "seg": rng.randn(ROIS, 2, SIZE, SIZE),
        "box": rng.randn(ROIS, 8) * 2,
        "label": rng.randint(-1, CLASSES, ROIS),
        "mask": rng.randint(-1, 2, (ROIS, 1, SIZE, SIZE)),
        "target": rng.randn(ROIS, 8),
        "weight": rng.randint(0, 2, (ROIS, 8)),
    }
    names = list(arrays)
    variables = [mx.sym.Variable(name) for name in names]
    assert train.losses.kept_rois == divisor
    losses = head_losses(variables[:3], variables[3:], network, train)
    got = gradients(losses, arrays, names[:3])

    kept = arrays["label"] != -1
    cls = (softmax(arrays["cls"]) - one_hot(arrays["label"], CLASSES)) * kept[:, None] / kept.sum()
    np.testing.assert_allclose(got["cls"], cls, atol=1e-6)
    mask = arrays["mask"][:, 0]
    seg = (softmax(arrays["seg"]) - one_hot(mask, 2)) * (mask != -1)[:, None] * 10 / divisor / SIZE**2
    np.testing.assert_allclose(got["seg"], seg, atol=1e-8)
    box = np.clip(arrays["weight"] * (arrays["box"] - arrays["target"]), -1, 1) * arrays["weight"] / divisor
    np.testing.assert_allclose(got["box"], box, atol=1e-7)


@pytest.mark.parametrize("images", [1, 2])
def test_rpn_losses(images):
    config = fcis_config.load(VOC, ["TRAIN.BATCH_IMAGES", str(images)])
    anchors, height, width = config.network.NUM_ANCHORS, 3, 4
    rng = np.random.RandomState(1)
    arrays = {
        "score": rng.randn(images, 2 * anchors, height, width),
        "delta": rng.randn(images, 4 * anchors, height, width) * 0.3,
        "proposal_label": rng.randint(-1, 2, (images, anchors * height * width)),
        "proposal_bbox_target": rng.randn(images, 4 * anchors, height, width) * 0.3,
        "proposal_bbox_weight": rng.randint(0, 2, (images, 4 * anchors, height, width)),
    }
    maps = Maps(mx.sym.Variable("score"), mx.sym.Variable("delta"), None, None)
    scores, _ = rpn_probability(maps, anchors)
    got = gradients(rpn_losses(maps, scores, assembly.train_spec(config)), arrays, ["score", "delta"])

    label = arrays["proposal_label"]
    flat = arrays["score"].reshape(images, 2, -1)
    cls = (softmax(flat) - one_hot(label, 2)) * (label != -1)[:, None] / (label != -1).sum()
    np.testing.assert_allclose(got["score"].reshape(flat.shape), cls, atol=1e-7)
    x = arrays["delta"] - arrays["proposal_bbox_target"]
    slope = np.where(np.abs(x) < 1 / 9, 9 * x, np.sign(x)) * arrays["proposal_bbox_weight"]
    np.testing.assert_allclose(got["delta"], slope / 256 / images, atol=1e-7)


def ancestors(symbol, name):
    """Names of the nodes right behind `name`, through nodes that only copy or reshape, with output index."""
    nodes = json.loads(symbol.tojson())["nodes"]
    found, pending = set(), [next(n for n in nodes if n["name"] == name)]
    while pending:
        for index, output, *_ in pending.pop()["inputs"]:
            if nodes[index]["op"] in ("Reshape", "_copy", "BlockGrad"):
                pending.append(nodes[index])
            else:
                found.add((nodes[index]["name"], output))
    return found


def test_masks_are_picked_and_counted_with_the_labels_before_hard_example_mining():
    config = fcis_config.load(COCO)
    symbol = FCIS(assembly.network_spec(config, 81)).train_symbol(assembly.train_spec(config))
    assert ("proposal_annotator", 1) in ancestors(symbol, "seg_pred")
    assert ancestors(symbol, "mask_targets") == {("proposal_annotator", 4)}
    assert ancestors(symbol, "rcnn_label") == {("annotator_ohem", 0)}
    assert ("annotator_ohem", 0) in ancestors(symbol, "cls_prob")
    assert ("annotator_ohem", 1) in ancestors(symbol, "seg_prob")
