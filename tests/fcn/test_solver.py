"""A Caffe solver becomes a configuration that our training loads, or is refused by name."""

from __future__ import annotations

import pytest

from fullconv.fcn import config, convert, solver
from fullconv.fcn.symbols import NETWORKS, build
from fullconv.lib.convert import prototxt
from fullconv.lib.convert.caffe_writer import write_layers
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.network.caffe.layer import without

SOLVER = """net: "train.prototxt"
test_iter: 7 test_interval: 999 display: 25 average_loss: 25
lr_policy: "fixed" base_lr: 1e-10 momentum: 0.99 weight_decay: 0.0005
iter_size: 2 max_iter: 1000 snapshot: 250 snapshot_prefix: "snap/train" random_seed: 7 solver_mode: GPU
"""


def training_file(name, normalize="false", **options):
    """A network as a training's prototxt: a Python data layer, the layers, a loss per head."""
    net = build(name, **options)
    tops = [*net.inputs, *(head.label for head in net.heads)]
    kinds = [i.kind for i in NETWORKS[name].inputs] + ["label"]
    text = f'layer {{ name: "data" type: "Python" {" ".join(f"top: {top!r}" for top in tops)} '
    text += f'python_param {{ module: "m" layer: "L" param_str: "{{\'tops\': {kinds}}}" }} }}\n'
    text += prototxt.dump(write_layers(without(net.layers, "Input"), {}, name))
    for head in net.heads:
        text += f"""layer {{ name: "{head.loss}" type: "SoftmaxWithLoss" bottom: "{head.score}" bottom: "{head.label}"
            top: "{head.loss}" loss_param {{ ignore_label: 255 normalize: {normalize} }} }}\n"""
    return text


@pytest.fixture
def converted(tmp_path):
    """The configuration that a solver's text becomes, and the yaml."""

    def convert_text(text, net=None):
        (tmp_path / "solver.prototxt").write_text(text)
        if net:
            (tmp_path / "train.prototxt").write_text(net)
        found = solver.to_yaml(str(tmp_path / "solver.prototxt"))
        (tmp_path / "my.yaml").write_text(found)
        return config.load(str(tmp_path / "my.yaml")), found

    return convert_text


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_published_network_is_known_by_its_layers(converted, name):
    normalize = "true" if NETWORKS[name].normalization == "valid" else "false"
    loaded, text = converted(SOLVER, training_file(name, normalize))
    assert loaded.symbol == name and "alike" not in text and "normalization" not in text
    assert loaded.network == config.defaults().network
    train = loaded.TRAIN
    assert (float(train.lr), train.momentum, train.wd, train.iter_size) == (1e-10, 0.99, 0.0005, 2)
    assert (train.max_iter, train.snapshot, train.seed, train.optimizer) == ("1000", "250", 7, "sgd")
    assert (train.lr_policy, train.lr_step, loaded.default.frequent) == ("step", "", 25)
    assert "left out: test_iter, test_interval, snapshot_prefix, solver_mode" in text


def test_sizes_and_normalisation_that_are_not_as_published_are_stated(converted):
    net = training_file("voc-fcn8s", "true", classes=[4], width=0.25, hidden=100, dropout=0.25)
    loaded, _ = converted(SOLVER, net)
    assert loaded.symbol == "voc-fcn8s" and loaded.TRAIN.normalization == "valid"
    group = loaded.network
    assert (group.width, group.hidden, group.dropout) == (0.25, 100, 0.25)


def test_colour_and_hha_have_the_same_layers(converted):
    """With another class count and no word of the data layer, several networks fit, and all are named."""
    text = training_file("nyud-fcn32s-hha", classes=[5]).replace("param_str", "module")
    loaded, text = converted(SOLVER, text)
    assert loaded.symbol == "voc-fcn32s"
    assert "fit voc-fcn32s, nyud-fcn32s-color, nyud-fcn32s-hha, pascalcontext-fcn32s alike" in text


OTHER = 'input: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "data" }'


@pytest.mark.parametrize(
    "net, note",
    [
        (None, "its network, 'train.prototxt', was not found: give --net FILE, or set symbol yourself"),
        (OTHER, "train.prototxt is none of the published networks"),
        (OTHER.replace("ReLU", "Tile"), "train.prototxt is none of ours: layer 'r' (line 1): type 'Tile'"),
    ],
)
def test_another_network_is_said_to_be_one(converted, net, note):
    loaded, text = converted(SOLVER, net)
    assert note in text and "symbol:" not in text and float(loaded.TRAIN.lr) == 1e-10


def test_the_network_may_be_in_the_solver(converted):
    inline = "train_net_param {" + training_file("voc-fcn16s") + "}"
    assert converted(SOLVER.replace('net: "train.prototxt"', inline))[0].symbol == "voc-fcn16s"


@pytest.mark.parametrize(
    "change, expected",
    [
        ("lr_policy: 'step' gamma: 0.1 stepsize: 300", {"lr_step": "0.3,0.6,0.9"}),
        ("lr_policy: 'multistep' gamma: 0.1f stepvalue: [100, 290] stepvalue: 5000", {"lr_step": "0.1,0.29"}),
        ("lr_policy: 'poly' power: 0.9", {"lr_policy": "poly", "power": 0.9}),
        ("lr_policy: 'poly'", {"lr_policy": "step", "lr_step": ""}),
        ("type: 'Adam'", {"optimizer": "adam"}),
        ("solver_type: ADAM momentum2: 0.999", {"optimizer": "adam"}),
        ("solver_type: 5 delta: 1e-8", {"optimizer": "adam"}),
        ("solver_type: SGD", {"optimizer": "sgd"}),
        ("snapshot: 0", {"snapshot": "1000"}),
        ("snapshot: 240", {"snapshot": "250"}),
        ("clip_gradients: -1 regularization_type: 'L2'", {}),
    ],
)
def test_policies_and_types(converted, change, expected):
    train = converted(SOLVER + change)[0].TRAIN
    assert {key: train[key] for key in expected} == expected


def test_steps_come_back_to_their_iteration(converted):
    """Shares are numbers of the binary kind; each must still mean its very update."""
    steps = [7, 29, 57, 58, 113, 113, 570, 999]
    text = SOLVER + f"lr_policy: 'multistep' gamma: 0.1 stepvalue: {steps}"
    train = converted(text)[0].TRAIN
    assert [int(float(share) * 1000) for share in train.lr_step.split(",")] == steps


@pytest.mark.parametrize(
    "change, message",
    [
        ("lr_policy: 'inv' gamma: 1e-4 power: 0.75", "lr_policy 'inv' is not supported; use lr_policy fixed, step or"),
        ("lr_policy: 'exp' gamma: 0.99", "lr_policy 'exp' is not supported"),
        ("lr_policy: 'sigmoid' gamma: -1 stepsize: 3", "lr_policy 'sigmoid' is not supported"),
        ("lr_policy: 'step' gamma: 0.5 stepsize: 300", "gamma 0.5 is not supported, ours divides the rate by ten"),
        ("lr_policy: 'step' gamma: 0.1", "stepsize is missing"),
        ("lr_policy: 'step' gamma: 0.1 stepsize: 1", "stepsize 1 makes 1000 steps"),
        ("type: 'Nesterov'", "type 'Nesterov' is not supported; use SGD with momentum, or Adam"),
        ("solver_type: 3", "type 'RMSProp' is not supported"),
        ("type: 'Adam' momentum2: 0.9", "momentum2 and delta of Adam are 0.999 and 1e-8 here"),
        ("regularization_type: 'L1'", "regularization_type 'L1' is not supported; use L2"),
        ("clip_gradients: 10", "clip_gradients is not supported"),
        ("momentum: 1.5", "TRAIN.momentum is 1.5; it must be at least 0 and below 1"),
        ("max_iter: 0.5", "max_iter: a whole number of at least 1 is expected, found '0.5'"),
        ("warmup: 3", "warmup is not supported; known here: net,"),
        ("layer { name: 'x' }", "this is a network, not a solver"),
    ],
)
def test_what_trains_otherwise_is_refused_by_name(converted, tmp_path, change, message):
    with pytest.raises(ConvertError) as error:
        converted(SOLVER + change)
    assert message in str(error.value) and str(error.value).startswith(str(tmp_path / "solver.prototxt"))


def test_command(tmp_path, capsys, monkeypatch):
    """The network is looked for from here, beside the solver, or where --net says."""
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "solver.prototxt"
    path.write_text(SOLVER.replace("train.prototxt", "models/net.prototxt"))
    net = tmp_path / "models" / "net.prototxt"
    net.write_text(training_file("siftflow-fcn16s"))
    assert convert.main(["solver", str(path)]) == 0 and "symbol: siftflow-fcn16s\n" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert convert.main(["solver", "models/solver.prototxt"]) == 0
    assert "symbol: siftflow-fcn16s\n" in capsys.readouterr().out
    net.rename(tmp_path / "other.prototxt")
    assert convert.main(["solver", str(path), "--net", "other.prototxt"]) == 0
    assert "symbol: siftflow-fcn16s\n" in capsys.readouterr().out
    assert (
        convert.main(["solver", "absent.prototxt"]) == 1 and "absent.prototxt: no such file" in capsys.readouterr().err
    )
    path.write_text("base_lr: 1")
    assert convert.main(["solver", str(path)]) == 1 and "max_iter is missing: not a solver" in capsys.readouterr().err
