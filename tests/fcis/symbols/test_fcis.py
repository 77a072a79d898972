"""The FCIS graph: parameters and shapes of the published network, fused and composed head, small networks."""

import json
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.metric import OUTPUT_NAMES, fcis_l1_loss, fcis_log_loss, fcis_mask_loss, rpn_l1_loss, rpn_log_loss
from fullconv.fcis.symbols.fcis import DATA_NAMES, FCIS, LABEL_NAMES, feature_shape
from fullconv.lib.core.optimizer.multipliers import lr_multipliers
from fullconv.lib.core.trainer import fixed_parameters
from fullconv.lib.structures.entry import Entry

CFGS = "experiments/fcis/cfgs"
VOC, COCO = f"{CFGS}/resnet_v1_101_vocSDS_fcis_end2end.yaml", f"{CFGS}/resnet_v1_101_coco_fcis_end2end_ohem.yaml"
SMALL = [
    "symbol",
    "resnet_v1_small_fcis",
    "SCALES",
    "96,128",
    "network.ANCHOR_SCALES",
    "1,2,4",
    "TEST.RPN_MIN_SIZE",
    "4",
]
RULES = {
    "RPNLogLoss": rpn_log_loss,
    "RPNL1Loss": rpn_l1_loss,
    "FCISLogLoss": fcis_log_loss,
    "FCISL1Loss": fcis_l1_loss,
    "FCISMaskLoss": fcis_mask_loss,
}


def learnable(symbol):
    return [n for n in symbol.list_arguments() if n not in DATA_NAMES + LABEL_NAMES]


def symbol_of_training(config):
    network = FCIS(assembly.network_spec(config, config.dataset.NUM_CLASSES))
    return network.train_symbol(assembly.train_spec(config))


def symbol_of_test(config):
    network = FCIS(assembly.network_spec(config, config.dataset.NUM_CLASSES))
    return network.test_symbol(assembly.test_spec(config))


def largest_shapes(config, symbol, objects):
    entry = Entry("a.jpg", 1, 30, 40, np.zeros((objects, 4)), np.ones(objects))
    return assembly.train_source(config, [entry], symbol).largest_shapes(config.TRAIN.BATCH_IMAGES)


@pytest.mark.parametrize("cfg, values", [(VOC, 51_856_392), (COCO, 57_892_626)])
def test_published_parameters(cfg, values):
    config = fcis_config.load(cfg)
    symbol = symbol_of_training(config)
    names = learnable(symbol)
    shapes = largest_shapes(config, symbol, 4)
    arg_shapes, _, _ = symbol.infer_shape(**shapes)
    sizes = {n: int(np.prod(s)) for n, s in zip(symbol.list_arguments(), arg_shapes)}
    fixed = fixed_parameters(names, config.network.FIXED_PARAMS)
    assert (len(names), len(symbol.list_auxiliary_states())) == (324, 208)
    assert sum(sizes[n] for n in names) == values
    assert len(fixed) == 33 and sum(sizes[n] for n in fixed) == 225_344
    learned = {n: m for n, m in lr_multipliers(symbol).items() if n in names}
    assert learned == {"conv_new_1_weight": 3.0, "conv_new_1_bias": 3.0}


@pytest.mark.parametrize("cfg, rois, classes", [(VOC, 128, 21), (COCO, 304, 81)])
def test_published_training_outputs(cfg, rois, classes):
    config = fcis_config.load(cfg)
    symbol = symbol_of_training(config)
    _, shapes, _ = symbol.infer_shape(**largest_shapes(config, symbol, 4))
    anchors = config.network.NUM_ANCHORS
    assert shapes == [
        (1, 2, anchors * 38, 63),
        (1, 4 * anchors, 38, 63),
        (1, rois, classes),
        (1, rois, 8),
        (rois, 2, 21, 21),
        (rois, 1, 21, 21),
        (1, rois),
    ]


@pytest.mark.parametrize("fused", ["true", "false"])
def test_published_test_outputs(fused):
    config = fcis_config.load(COCO, ["TEST.FUSED_HEAD", fused])
    symbol = symbol_of_test(config)
    _, shapes, _ = symbol.infer_shape(data=(1, 3, 600, 1000), im_info=(1, 3))
    assert dict(zip(symbol.list_outputs(), shapes)) == {
        "rois_output": (600, 5),
        "cls_prob_reshape_output": (1, 600, 81),
        "bbox_pred_reshape_output": (1, 600, 8),
        "seg_pred_output": (600, 2, 21, 21),
    }
    assert sorted(symbol.list_arguments()) == sorted(set(learnable(symbol)) | {"data", "im_info"})


def test_feature_size_of_the_published_network():
    symbol = symbol_of_training(fcis_config.load(VOC))
    assert [feature_shape(symbol, *size) for size in ((600, 1000), (600, 899), (562, 1000), (201, 1000))] == [
        (38, 63),
        (38, 57),
        (35, 63),
        (13, 63),
    ]


def random_test_executor(fused):
    config = fcis_config.load(VOC, SMALL + ["TEST.FUSED_HEAD", fused, "TEST.ITER", "2", "dataset.NUM_CLASSES", "5"])
    executor = symbol_of_test(config).simple_bind(mx.cpu(), grad_req="null", data=(1, 3, 96, 128), im_info=(1, 3))
    rng = np.random.RandomState(0)
    for _, array in sorted(executor.arg_dict.items()):
        array[:] = rng.randn(*array.shape) * 0.1
    for array in executor.aux_dict.values():
        array[:] = 1.0
    executor.arg_dict["im_info"][:] = np.array([[96, 128, 1.0]])
    return {n: o.asnumpy() for n, o in executor.output_dict.items()} if executor.forward() else {}


def test_fused_head_equals_the_composed_graph():
    fused, composed = random_test_executor("true"), random_test_executor("false")
    assert fused.keys() == composed.keys()
    for name in fused:
        np.testing.assert_allclose(
            fused[name], composed[name], atol=1e-5 if name.startswith("rois") else 1e-6, err_msg=name
        )


CHANGES = [
    (stride, words.split())
    for stride in (8, 16)
    for words in ("", "TRAIN.ENABLE_OHEM true TRAIN.BATCH_ROIS -1", "CLASS_AGNOSTIC false", "TRAIN.CXX_PROPOSAL true")
    if (stride, words) != (8, "TRAIN.CXX_PROPOSAL true")  # refused, see tests/fcis/test_config.py
]


@pytest.mark.parametrize("stride, options", CHANGES)
def test_small_networks_give_finite_losses_and_gradients(stride, options):
    config = fcis_config.load(
        VOC,
        SMALL
        + options
        + ["TRAIN.BATCH_IMAGES", "2", "network.RPN_FEAT_STRIDE", str(stride), "dataset.NUM_CLASSES", "4"],
    )
    symbol = symbol_of_training(config)
    shapes = largest_shapes(config, symbol, 2)
    executor = symbol.simple_bind(mx.cpu(), **shapes)
    rng = np.random.RandomState(0)
    for _, array in sorted(executor.arg_dict.items()):
        array[:] = rng.randn(*array.shape) * 0.05
    for name, array in executor.aux_dict.items():
        array[:] = 1.0 if name.endswith("var") else 0.0
    arrays = executor.arg_dict
    arrays["im_info"][:] = np.array([[96, 128, 1.0]] * 2)
    arrays["seed"][:] = 7
    arrays["gt_boxes"][:] = -1
    arrays["gt_boxes"][0, 0] = mx.nd.array([10, 12, 60, 70, 2])
    arrays["gt_masks"][:] = 1
    arrays["proposal_label"][:] = rng.randint(-1, 2, arrays["proposal_label"].shape)
    outputs = executor.forward(is_train=True)
    executor.backward()
    for output in outputs:
        assert np.isfinite(output.asnumpy()).all()
    for name in ("conv1_weight", "rpn_bbox_pred_weight", "fcis_cls_seg_weight", "fcis_bbox_weight"):
        gradient = executor.grad_dict[name].asnumpy()
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, name


def test_without_objects_only_classes_are_learned():
    """The losses of boxes and masks are exactly 0, and so are their gradients."""
    config = fcis_config.load(VOC, [*SMALL, "TRAIN.BATCH_IMAGES", "2", "dataset.NUM_CLASSES", "4"])
    symbol = symbol_of_training(config)
    executor = symbol.simple_bind(mx.cpu(), **largest_shapes(config, symbol, 2))
    rng = np.random.RandomState(0)
    for name, array in sorted(executor.arg_dict.items()):
        # The targets of an image without objects: no boxes, and anchors that are background or not sampled.
        array[:] = 0 if name in (*DATA_NAMES, *LABEL_NAMES) else rng.randn(*array.shape) * 0.05
    for name, array in executor.aux_dict.items():
        array[:] = float(name.endswith("var"))
    arrays = executor.arg_dict
    arrays["data"][:] = rng.randn(*arrays["data"].shape) * 50
    arrays["im_info"][:] = np.array([[96, 128, 1.0]] * 2)
    arrays["gt_boxes"][:] = -1
    arrays["proposal_label"][:] = rng.randint(-1, 1, arrays["proposal_label"].shape)
    outputs = dict(zip(OUTPUT_NAMES, executor.forward(is_train=True)))
    executor.backward()
    outputs["proposal_label"] = arrays["proposal_label"]
    losses = {name: float(rule(outputs)[0].asscalar()) for name, rule in RULES.items()}
    assert losses["RPNL1Loss"] == losses["FCISL1Loss"] == losses["FCISMaskLoss"] == 0
    assert losses["RPNLogLoss"] > 0 and losses["FCISLogLoss"] > 0
    gradients = {name: array.asnumpy() for name, array in executor.grad_dict.items()}
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    assert not gradients["rpn_bbox_pred_weight"].any() and not gradients["fcis_bbox_weight"].any()
    assert gradients["rpn_cls_score_weight"].any() and gradients["fcis_cls_seg_weight"].any()


def test_an_unknown_backbone_names_those_known():
    with pytest.raises(ValueError, match="resnet_v1_101"):
        assembly.network_spec(fcis_config.load(VOC, ["symbol", "resnet_v9_fcis"]), 21)


def test_maps_of_different_strides_are_refused():
    spec = assembly.network_spec(fcis_config.load(VOC), 21)
    with pytest.raises(ValueError, match=r"strides 16 \(res4\) and 32 \(res5\)"):
        FCIS(replace(spec, backbone=replace(spec.backbone, strides=(1, 2, 2, 2)))).maps()


@pytest.mark.parametrize("builtin, least", [("false", 16), ("true", 48)])
def test_the_two_proposal_rules(builtin, least):
    """CXX_PROPOSAL true is MXNet's operator: the least side times the scale. False is the original's own: without."""
    small = [*SMALL, "network.ANCHOR_SCALES", "1,2,4", "TEST.CXX_PROPOSAL", builtin, "TEST.RPN_MIN_SIZE", "16"]
    config = fcis_config.load(VOC, [*small, "TEST.RPN_POST_NMS_TOP_N", "12"])
    symbol = FCIS(assembly.network_spec(config, 3)).proposal_symbol(assembly.test_spec(config))
    executor = symbol.simple_bind(mx.cpu(), data=(1, 3, 96, 128), im_info=(1, 3))
    rng = np.random.RandomState(1)
    for _, array in sorted(executor.arg_dict.items()):
        array[:] = rng.normal(0, 0.02, array.shape)
    for name, array in executor.aux_dict.items():
        array[:] = float("var" in name)
    executor.arg_dict["data"][:] = rng.normal(0, 50, (1, 3, 96, 128))
    sides = {}
    for scale in (1, 3):
        executor.arg_dict["im_info"][:] = np.array([[96, 128, scale]])
        boxes = executor.forward()[0].asnumpy()
        sides[scale] = (boxes[:, 3:] - boxes[:, 1:3] + 1).min()
    assert 16 <= sides[1] < 48 and (sides[3] >= 48 if builtin == "true" else sides[3] == sides[1])


def test_both_phases_choose_their_rule():
    config = fcis_config.load(VOC, ["TRAIN.CXX_PROPOSAL", "true"])
    assert assembly.train_spec(config).proposals.builtin and not assembly.test_spec(config).proposals.builtin
    names = {"'op': 'MultiProposal'", "'op': '_contrib_MultiProposal'"}
    train, test = (
        str(json.loads(symbol.tojson())["nodes"]) for symbol in (symbol_of_training(config), symbol_of_test(config))
    )
    assert any(name in train for name in names) and not any(name in test for name in names)
