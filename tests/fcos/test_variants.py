"""What stands on other networks than the original's: names, sizes, one training step each, and boxes ranked by IoU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcos import assembly
from fullconv.fcos import config as fcos_config
from fullconv.fcos.model import Trained
from fullconv.fcos.preprocess import InputSpec
from fullconv.fcos.symbols.fcos import level_sizes, train_symbol
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.fcos.symbols.head import LevelOutputs
from fullconv.fcos.symbols.losses import losses
from fullconv.fcos.symbols.spec import HeadSpec, LossSpec, NetworkSpec
from fullconv.fcos.targets import positives
from fullconv.fcos.tester import ViewSpec
from fullconv.fcos.weights import Start, start_weights
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.core.optimizer.multipliers import lr_multipliers
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.engines.network import BY_MXNET
from fullconv.lib.network.dla import DLASpec
from fullconv.lib.network.fpn import FPNSpec
from fullconv.lib.network.hrfpn import HRFPNSpec
from fullconv.lib.network.hrnet import HRNetSpec
from fullconv.lib.network.norm import NormSpec
from fullconv.lib.network.resnet_spec import resnet_spec
from fullconv.lib.network.vovnet import VOVNETS, VoVNetSpec

CONFIGS = Path(__file__).resolve().parents[2] / "experiments" / "fcos" / "cfgs"
FILES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem.startswith(("adelaidet", "hrnet", "vovnet")))
BATCH, REAL_TIME = NormSpec("batch"), (8, 16, 32)

# 64 channels, as a group of one channel on a map of one pixel has no gradient.
SLIM = {
    "hrnet": NetworkSpec(HeadSpec(3, 1), HRNetSpec(4, BATCH), HRFPNSpec(channels=64)),
    "hrnet_6l": NetworkSpec(
        HeadSpec(3, 1), HRNetSpec(4, BATCH), HRFPNSpec((4, 8, 16, 32, 64, 128), 64), (4, 8, 16, 32, 64, 128)
    ),
    "vovnet": NetworkSpec(
        HeadSpec(3, 1), VoVNetSpec((1, 1, 2, 1), (8,) * 4, (16,) * 4, (8, 8, 16), BATCH), FPNSpec(channels=64)
    ),
    "dla": NetworkSpec(
        HeadSpec(3, 0, shared=2),
        DLASpec(channels=(8, 16, 24, 32), norm=BATCH),
        FPNSpec(channels=64, top=0),
        REAL_TIME,
    ),
    "real_time": NetworkSpec(
        HeadSpec(3, 1),
        resnet_spec("R-50", stem=8, outputs=32, group_width=8, norm=BATCH),
        FPNSpec(channels=64, top=0),
        REAL_TIME,
    ),
}


def sizes_of(network: NetworkSpec) -> tuple:
    return tuple(8.0 * stride for stride in network.strides[:-1])


def parameters(network: NetworkSpec, part: str = "") -> int:
    shapes = expected_shapes(network_symbol(network), data=(1, 3, 128, 160))
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if part in name and "_running_" not in name)


@pytest.mark.parametrize(
    "width, levels, millions",
    [(18, (8, 16, 32, 64, 128), 17.5), (32, (8, 16, 32, 64, 128), 37.3), (40, (4, 8, 16, 32, 64, 128), 54.1)],
)
def test_hrnet_has_the_published_number_of_parameters(width: int, levels: tuple, millions: float) -> None:
    network = NetworkSpec(HeadSpec(80), HRNetSpec(width), HRFPNSpec(levels), levels)
    assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.05)


def test_dla_has_the_published_number_of_parameters() -> None:
    """15,742,104 with the classifier of 1000 classes."""
    assert parameters(NetworkSpec(HeadSpec(80), DLASpec()), ".body.") == 15_742_104 - 512 * 1000 - 1000


@pytest.mark.parametrize("name", ["V-39", "V-57"])
def test_vovnet_has_the_parameters_of_its_table(name: str) -> None:
    """Counted from the table: convolutions, two factors per channel of their norms, and the gates."""
    spec, inputs, count = VOVNETS[name], 3, 0
    for outputs in (64, 64, 128):
        count += 9 * inputs * outputs + 2 * outputs
        inputs = outputs
    for blocks, width, outputs in zip({"V-39": (1, 1, 2, 2), "V-57": (1, 1, 4, 3)}[name], spec.widths, spec.outputs):
        for _ in range(blocks):
            count += 9 * (inputs + 4 * width) * width + 5 * 2 * width
            count += (inputs + 5 * width) * outputs + 2 * outputs + outputs * outputs + outputs
            inputs = outputs
    assert parameters(NetworkSpec(HeadSpec(80), spec), ".body.") == count


@pytest.mark.parametrize(
    "network, names",
    [
        (
            "hrnet",
            "conv1_weight bn2_bias layer1.0.downsample.1_weight transition1.0.0_weight transition1.1.0.0_weight "
            "transition3.3.0.1_running_var stage2.0.branches.1.3.conv2_weight stage4.2.fuse_layers.0.3.0_weight "
            "stage4.2.fuse_layers.3.0.2.1_weight",
        ),
        ("vovnet", "stem.3.conv_weight stage4.1.layers.4.norm_weight stage5.0.concat.conv_weight stage2.0.ese.fc_bias"),
        (
            "dla",
            "base_layer.0_weight level1.0_weight level2.project.0_weight level3.tree1.project.1_bias "
            "level4.tree2.tree2.conv2_weight level4.tree2.root.bn_running_mean level5.root.conv_weight",
        ),
    ],
)
def test_names_of_the_backbones(network: str, names: str) -> None:
    shapes = expected_shapes(network_symbol(SLIM[network]), data=(1, 3, 64, 96))
    assert {f"backbone.body.{name}" for name in names.split()} <= set(shapes)


def test_names_of_a_shared_tower() -> None:
    shapes = expected_shapes(network_symbol(SLIM["dla"]), data=(1, 3, 64, 96))
    head = {name for name in shapes if name.startswith("rpn.head.")}
    towers = {f"{index}_{part}" for index in (0, 1, 3, 4) for part in ("weight", "bias")}
    assert {name for name in head if "tower" in name} == {f"rpn.head.share_tower.{name}" for name in towers}
    assert {name for name in head if "scales" in name} == {f"rpn.head.scales.{level}_scale" for level in range(3)}
    assert not [name for name in shapes if "top_blocks" in name]


@pytest.mark.parametrize("size", [(64, 96), (75, 93), (129, 257), (33, 40)])
@pytest.mark.parametrize("name", SLIM)
def test_sizes_of_the_levels(name: str, size: tuple) -> None:
    network = SLIM[name]
    symbol = network_symbol(network)
    found = dict(zip(symbol.list_outputs(), symbol.infer_shape(data=(2, 3, *size))[1]))
    expected = level_sizes(*size, network.strides)
    assert [found[f"logits_{level}_output"] for level in network.levels] == [(2, 3, *each) for each in expected]
    assert len(found) == 3 * len(network.strides)


@pytest.mark.parametrize("quality", ["ctrness", "iou"])
@pytest.mark.parametrize("name", SLIM)
def test_one_training_step(name: str, quality: str) -> None:
    """Losses are finite, everything learns, and what is learned finds something."""
    network = SLIM[name]
    loss = LossSpec(iou="giou", radius=1.5, sizes=sizes_of(network), strides=network.strides, quality=quality)
    boxes = np.array([[[4, 6, 40, 50, 1], [20, 10, 90, 60, 3]]] * 2, np.float32)
    count, centerness = positives(boxes[0], (64, 96), loss)
    batch = {
        "data": np.random.RandomState(0).randn(2, 3, 64, 96).astype("f4") * 50,
        "gt_boxes": boxes,
        "normalizers": np.array([2 * count, 2 * centerness], "f4"),
    }
    trainer = Trainer(train_symbol(network, loss), [mx.cpu()], {k: a.shape for k, a in batch.items()})
    params = start_weights(trainer.param_shapes(), Start(), np.random.RandomState(1), lambda line: None)
    trainer.set_params(params, params)
    values = []
    trainer.step([batch], 1e-3, lambda inputs, outputs: values.extend(float(o.asscalar()) for o in outputs))
    assert count and np.isfinite(values).all() and values[0] > 0 and values[2] > 0
    still = [key for key, grad in trainer.pools[0].grads.items() if not np.abs(grad.asnumpy()).max() > 0]
    # Levels whose sizes none of the boxes has learn no scale.
    assert not [key for key in still if "scales" not in key]
    args, aux = trainer.get_params()
    results = assembly.result_spec(fcos_config.load())._replace(threshold=0.005, strides=network.strides)
    made = Trained(network, InputSpec((64,), 96, divisor=32), results, ViewSpec(), {**args, **aux})
    detector = made.detector(BY_MXNET, mx.cpu())
    found = detector.detect(np.random.RandomState(2).randint(0, 256, (64, 90, 3)).astype(np.uint8))
    assert len(found) and np.isfinite(found.boxes).all()


def test_quality_is_the_overlap_of_what_is_predicted() -> None:
    """Both losses from numpy: an unweighted mean of -log IoU, and the cross entropy with the IoU as it is."""
    rng = np.random.RandomState(3)
    spec = LossSpec(sizes=(), strides=(8,), quality="iou")
    level = LevelOutputs(*(mx.sym.Variable(kind) for kind in LevelOutputs._fields))
    symbol = losses([level], mx.sym.Variable("gt_boxes"), mx.sym.Variable("normalizers"), spec, False)
    values = {
        "logits": rng.randn(1, 2, 4, 6),
        "boxes": rng.rand(1, 4, 4, 6) * 20 + 1,
        "centerness": rng.randn(1, 1, 4, 6),
        "gt_boxes": np.array([[[3.0, 2, 30, 25, 1], [0, 0, 0, 0, -1]]]),
        "normalizers": np.array([7.0, 1000]),  # the sum of centerness has no part in it
    }
    executor = symbol.simple_bind(mx.cpu(), **{key: array.shape for key, array in values.items()})
    outputs = [o.asscalar() for o in executor.forward(is_train=True, **{k: mx.nd.array(a) for k, a in values.items()})]
    executor.backward()
    y, x = (grid.astype(float) * 8 + 4 for grid in np.mgrid[:4, :6])
    target = np.stack([x - 3, y - 2, 30 - x, 25 - y])
    inside = target.min(0) > 0
    p, t = values["boxes"][0][:, inside], target[:, inside]
    low = np.minimum(p, t)
    both = (low[0] + low[2]) * (low[1] + low[3])
    union = (p[0] + p[2]) * (p[1] + p[3]) + (t[0] + t[2]) * (t[1] + t[3]) - both
    iou, z = (both + 1) / (union + 1), values["centerness"][0, 0][inside]
    assert outputs[1] == pytest.approx(-np.log(iou).sum() / 7, rel=1e-5)
    assert outputs[2] == pytest.approx((np.log1p(np.exp(z)) - z * iou).sum() / 7, rel=1e-5)
    # No gradient through the target: that of the boxes is the same whatever the third output says.
    before = executor.grad_dict["boxes"].asnumpy()
    executor.forward(is_train=True, centerness=mx.nd.array(values["centerness"] + 3))
    executor.backward()
    np.testing.assert_array_equal(executor.grad_dict["boxes"].asnumpy(), before)
    assert np.abs(before).max() > 0


def networks() -> Dict[str, tuple]:
    found = {}
    for name in FILES:
        config = fcos_config.load(str(CONFIGS / f"{name}.yaml"))
        found[name] = config, assembly.network_spec(config, 81)
    return found


def test_there_is_a_file_for_each() -> None:
    made = networks()
    assert len(made) == 10
    assert type(made["hrnet_W18_5l_2x"][1].body) is HRNetSpec and made["hrnet_W32_5l_2x"][1].body.width == 32
    assert made["vovnet_V_57_3x"][1].body.blocks == (1, 1, 4, 3)
    network = made["adelaidet_rt_MS_DLA_34_4x_shtw"][1]
    assert (network.head.convs, network.head.shared, network.strides, network.fpn.top) == (0, 4, REAL_TIME, 0)
    config, network = made["adelaidet_R_50_1x_iou"]
    assert assembly.loss_spec(config).quality == "iou" and network == replace(network, strides=(8, 16, 32, 64, 128))


@pytest.mark.parametrize("name", [name for name in FILES if "_R_101" not in name])
def test_what_is_trained(name: str) -> None:
    """With statistics of the file the norms' factors stay too, in every backbone; with those of the batch all learn."""
    config, network = networks()[name]
    symbol = network_symbol(network)
    names = [key for key in symbol.list_arguments() if key != "data"]
    rates = lr_multipliers(symbol, assembly.rules(config))
    norms = {key[: -len("_running_mean")] for key in symbol.list_auxiliary_states() if key.endswith("_running_mean")}
    trained = config.MODEL.BACKBONE.NORM == "BN"
    still = {key for key in names if rates.get(key) == 0}
    if config.MODEL.BACKBONE.FREEZE_CONV_BODY_AT:
        still = {key for key in still if not key.startswith(("backbone.body.stem", "backbone.body.layer1"))}
        norms = {key for key in norms if not key.startswith(("backbone.body.stem", "backbone.body.layer1"))}
    assert still == (set() if trained else {f"{norm}_{part}" for norm in norms for part in ("weight", "bias")})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"MODEL.FCOS.TOP_LEVELS": 3}, "TOP_LEVELS is 3; it must be one of 0, 1, 2"),
        ({"MODEL.FCOS.TOP_LEVELS": 0}, r"FPN_STRIDES is .*; it must be one of \[8, 16, 32\]"),
        ({"MODEL.FCOS.TOP_LEVELS": 0, "MODEL.FCOS.FPN_STRIDES": [8, 16, 32]}, "takes 2 ascending numbers for 3 levels"),
        ({"MODEL.FCOS.NUM_CONVS": 0}, "NUM_CONVS is 0 and NUM_SHARE_CONVS 0; none below 0, and one"),
        ({"MODEL.FCOS.NUM_SHARE_CONVS": -1}, "NUM_SHARE_CONVS -1; none below 0"),
        (
            {"MODEL.FCOS.NUM_CONVS": 0, "MODEL.FCOS.NUM_SHARE_CONVS": 4, "MODEL.FCOS.USE_DCN_IN_TOWER": True},
            "towers have no last convolution",
        ),
        ({"MODEL.FCOS.BOX_QUALITY": "score"}, "must be one of ctrness, iou"),
        ({"MODEL.BACKBONE.NORM": "GN"}, "must be one of FrozenBN, BN"),
        ({"MODEL.BACKBONE.NORM": "BN"}, "set USE_GN false and FREEZE_CONV_BODY_AT 0"),
        ({"MODEL.USE_SYNCBN": True}, "no batch norm that is trained: set MODEL.BACKBONE.NORM BN"),
        ({"MODEL.BACKBONE.CONV_BODY": "V-39-FPN-RETINANET"}, "must be 0 for V-39: only of a ResNet"),
        (
            {
                "MODEL.BACKBONE.CONV_BODY": "HRNET-W18-FPN-RETINANET",
                "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 0,
                "MODEL.FCOS.FPN_STRIDES": [2, 4, 8],
            },
            r"FPN_STRIDES is .* must be one of \[4, 8",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(fcos_config.base.ConfigError, match=message):
        fcos_config.load(None, changes)


def test_a_pyramid_of_other_tops_is_refused() -> None:
    with pytest.raises(ValueError, match="a pyramid with top=3"):
        FPNSpec(top=3)
