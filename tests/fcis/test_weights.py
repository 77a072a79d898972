"""What training starts from: pretrained backbones, whole models to fine-tune, random numbers that stay finite."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.symbols.fcis import FCIS
from fullconv.fcis.weights import is_new, pretrained, start_weights
from fullconv.lib.core import checkpoint

CFGS = "experiments/fcis/cfgs"
VOC = f"{CFGS}/resnet_v1_101_vocSDS_fcis_end2end.yaml"
SMALL = ["symbol", "resnet_v1_small_fcis"]


def shapes_of(config, classes=21):
    symbol = FCIS(assembly.network_spec(config, classes)).test_symbol(assembly.test_spec(config))
    inputs = {"data": (1, 3, 96, 128), "im_info": (1, 3)}
    arg_shapes, _, aux_shapes = symbol.infer_shape(**inputs)
    shapes = dict(zip(symbol.list_arguments(), arg_shapes))
    shapes.update(zip(symbol.list_auxiliary_states(), aux_shapes))
    return {n: s for n, s in shapes.items() if n not in inputs}


def begin(shapes, config, log=lambda line: None):
    return start_weights(shapes, assembly.start(config), np.random.RandomState(3), log)


def save(folder, shapes, skip=lambda name: False, **extra):
    arrays = {n: mx.nd.ones(s) * 2 for n, s in {**shapes, **extra}.items() if not skip(n)}
    args = {n: a for n, a in arrays.items() if "_moving_" not in n}
    checkpoint.save_params(f"{folder}/net", 0, None, args, {n: a for n, a in arrays.items() if n not in args})
    return f"{folder}/net"


def test_an_imagenet_file_gives_the_backbone_and_random_heads(tmp_path):
    config = fcis_config.load(VOC, SMALL)
    shapes = shapes_of(config)
    config.network.pretrained = save(tmp_path, shapes, is_new, fc1000_weight=(1000, 512), fc1000_bias=(1000,))
    lines = []
    arrays = begin(shapes, config, lines.append)
    assert arrays.keys() == shapes.keys()
    for name, array in arrays.items():
        if is_new(name):
            values = array.asnumpy()
            assert np.abs(values).max() < 0.1 and (values.any() == name.endswith("_weight")), name
        else:
            assert (array.asnumpy() == 2).all(), name
    assert "12 arrays random" in lines[0]


def test_a_trained_model_is_fine_tuned_whole(tmp_path):
    config = fcis_config.load(VOC, SMALL)
    shapes = shapes_of(config)
    config.network.pretrained = save(tmp_path, shapes, fcis_bbox_weight_test=shapes["fcis_bbox_weight"])
    assert all((a.asnumpy() == 2).all() for a in begin(shapes, config).values())


def test_another_number_of_classes_starts_only_the_class_layer_anew(tmp_path):
    config = fcis_config.load(VOC, SMALL)
    shapes = shapes_of(config)
    config.network.pretrained = save(tmp_path, shapes)
    fewer = shapes_of(config, 4)
    found = pretrained(fewer, assembly.start(config))
    assert set(fewer) - set(found) == {"fcis_cls_seg_weight", "fcis_cls_seg_bias"}


def test_an_incomplete_backbone_is_refused(tmp_path):
    config = fcis_config.load(VOC, SMALL)
    shapes = shapes_of(config)
    config.network.pretrained = save(tmp_path, shapes, lambda name: name == "res4a_branch2b_weight")
    with pytest.raises(checkpoint.CheckpointError, match="missing(.|\n)*res4a_branch2b_weight"):
        begin(shapes, config)


@pytest.mark.parametrize("symbol", ["resnet_v1_101_fcis", "resnet_v1_small_fcis"])
def test_random_weights_without_normalisation_stay_in_range(symbol):
    config = fcis_config.load(VOC, ["symbol", symbol, "network.pretrained", "", "TEST.RPN_MIN_SIZE", "2"])
    shapes = shapes_of(config)
    maps = FCIS(assembly.network_spec(config, 21)).maps()
    executor = mx.sym.Group(list(maps)).simple_bind(mx.cpu(), grad_req="null", data=(1, 3, 96, 128))
    arrays = begin(shapes, config)
    executor.copy_params_from(arrays, arrays, allow_extra_params=True)
    data = np.random.RandomState(0).uniform(-110, 140, (1, 3, 96, 128))
    for output in executor.forward(data=mx.nd.array(data)):
        assert 1e-6 < np.abs(output.asnumpy()).max() < 100


def test_published_schedules():
    voc = assembly.schedule(fcis_config.load(VOC).TRAIN, images=11246, images_per_update=4)
    assert (voc.schedule.base_lr, list(voc.schedule.steps), voc.step) == (0.0005, [39361], 0)
    coco = fcis_config.load(f"{CFGS}/resnet_v1_101_coco_fcis_end2end_ohem.yaml").TRAIN
    rates = assembly.schedule(coco, 8000, 8)
    assert (list(rates.schedule.steps), rates.step, rates.lr) == ([5330], 250, 0.00005)
