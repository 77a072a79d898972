"""A Caffe solver as a configuration of ours: `python -m fullconv.fcn.convert solver solver.prototxt > my.yaml`.

What trains differently from the solver is refused by name, with what to use instead; what only tests, saves or logs
differently is said in a comment of the yaml.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any, Dict, List, Optional, Sequence, Tuple

import yaml

from fullconv.fcn import config
from fullconv.fcn.symbols import FCN, NETWORKS, Network
from fullconv.fcn.symbols.width import trunk_channels, width_of
from fullconv.lib.convert import caffe_layers, caffe_solver, prototxt
from fullconv.lib.convert.caffe_solver import Solver
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.prototxt import Message
from fullconv.lib.network.caffe.layer import Layer, without

OPTIMIZERS = {"SGD": "sgd", "Adam": "adam"}

STEP_FACTOR = 0.1
"""Our steps always divide the rate by ten."""

INSTEAD = "use lr_policy fixed, step or multistep with gamma 0.1, or poly"


def to_yaml(path: str, net: Optional[str] = None) -> str:
    """The configuration, with comments. net: the network's prototxt, if not where the solver says.

    Raises:
        FileNotFoundError: no such solver, or no such `net`.
        ConvertError: damaged, or something trains as ours cannot.
    """
    solver = caffe_solver.load(path)
    try:
        refuse(solver)
        keys, notes = _training(solver)
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None
    network, more = _network(solver, path, net)
    train = {**keys["TRAIN"], **network.pop("TRAIN", {})}
    return _checked(_text(path, {**network, **keys, "TRAIN": train}, [*more, *notes]), path)


def refuse(solver: Solver) -> None:
    """Raise for what ours cannot do."""
    if solver.type not in OPTIMIZERS:
        raise ConvertError(f"type {solver.type!r} is not supported; use SGD with momentum, or Adam")
    if solver.lr_policy not in ("fixed", "step", "multistep", "poly"):
        raise ConvertError(f"lr_policy {solver.lr_policy!r} is not supported; {INSTEAD}")
    if solver.steps and abs(solver.gamma - STEP_FACTOR) > 1e-6:
        raise ConvertError(f"gamma {solver.gamma:g} is not supported, ours divides the rate by ten; {INSTEAD}")
    if solver.regularization_type != "L2":
        raise ConvertError(f"regularization_type {solver.regularization_type!r} is not supported; use L2")
    if solver.clip_gradients > 0:
        raise ConvertError("clip_gradients is not supported; leave it out, with a lower base_lr if training diverges")
    if solver.type == "Adam" and (solver.momentum2, solver.delta) != (0.999, 1e-8):
        raise ConvertError("momentum2 and delta of Adam are 0.999 and 1e-8 here; leave them out")


def _training(solver: Solver) -> Tuple[Dict[str, Any], List[str]]:
    snapshot, notes = _snapshot(solver)
    train: Dict[str, Any] = {
        "optimizer": OPTIMIZERS[solver.type],
        "lr": f"{solver.base_lr:g}",
        "momentum": solver.momentum,
        "wd": solver.weight_decay,
        "iter_size": solver.iter_size,
        "max_iter": solver.max_iter,
        "snapshot": snapshot,
    }
    if solver.steps:
        train["lr_step"] = ",".join(_share(step, solver.max_iter) for step in solver.steps)
    elif solver.lr_policy == "poly" and solver.power > 0:
        train.update(lr_policy="poly", power=solver.power)
    if solver.seed >= 0:
        train["seed"] = solver.seed
    frequent = solver.display or solver.average_loss
    if solver.average_loss != frequent:
        notes.append(f"average_loss is {solver.average_loss}: our log lines are averages over default.frequent updates")
    if solver.left_out:
        notes.append(f"changes no weights and is left out: {', '.join(solver.left_out)}")
    return {"default": {"frequent": frequent}, "TRAIN": train}, notes


def _share(step: int, last: int) -> str:
    """A step as ours are written, as a share of all updates; it must come back to the same update."""
    share = step / last
    return repr(share if int(share * last) == step else (step + 0.5) / last)


def _snapshot(solver: Solver) -> Tuple[int, List[str]]:
    """Updates between two checkpoints, which ours must divide all of them."""
    last, wanted = solver.max_iter, solver.snapshot
    if wanted == 0:
        return last, ["the solver saves nothing on the way (snapshot 0): one checkpoint at the end"]
    if last % wanted == 0:
        return wanted, []
    small = [n for n in range(1, int(last**0.5) + 1) if last % n == 0]
    divisors = [*small, *(last // n for n in small)]
    found = min(divisors, key=lambda n: max(n / wanted, wanted / n))
    return found, [f"snapshot {wanted} does not divide max_iter {last}; {found} does and is nearest"]


# -------------------------------------------------------------------------------------------------- the network


def _network(solver: Solver, path: str, net: Optional[str]) -> Tuple[Dict[str, Any], List[str]]:
    """Keys that say which network is trained, none if it is none of ours, and notes."""
    where = "the solver" if solver.inline_net else _find(solver.net, path, net)
    if not where:
        stated = repr(solver.net) if solver.net else "which it does not name"
        return {}, [f"its network, {stated}, was not found: give --net FILE, or set symbol yourself"]
    message = solver.inline_net or prototxt.load(where)
    try:
        layers = caffe_layers.read_layers(message, "TRAIN").layers
    except ConvertError as error:
        return {}, [f"the network of {where} is none of ours: {error}"[:300]]
    names = identify(layers, message)
    if not names:
        known = "none of the published networks (fcn.symbols.networks); set symbol to the one it is to be"
        return {}, [f"the network of {where} is {known}"]
    notes = [f"the layers of {where} fit {', '.join(names)} alike: the first is taken"] if len(names) > 1 else []
    return _network_keys(names[0], layers), notes


def _find(stated: str, path: str, given: Optional[str]) -> str:
    """The network's file: Caffe looks from where it is started, which mostly is not where the files lie."""
    if given is not None:
        return given
    folder = os.path.dirname(path)
    places = [stated, os.path.join(folder, stated), os.path.join(folder, os.path.basename(stated))] if stated else []
    return next((place for place in places if os.path.isfile(place)), "")


def identify(layers: Sequence[Layer], message: Message) -> List[str]:
    """Names of the published networks that these layers are, with any class count, width and hidden channels."""
    by_name = {layer.name: layer for layer in layers}
    found = [name for name, network in NETWORKS.items() if _is(network, by_name, layers)]
    exact = [name for name in found if _classes(NETWORKS[name], by_name) == [h.classes for h in NETWORKS[name].heads]]
    # The colour and the HHA network have the same layers; what the data layer is asked for tells them apart.
    source = " ".join(str(row.get("param_str", "")) for x in message.all("layer") for row in x.all("python_param"))
    hha = [name for name in exact or found if ("hha" in source) == any(i.kind == "hha" for i in NETWORKS[name].inputs)]
    return hha if source else exact or found


def _is(network: Network, by_name: Dict[str, Layer], layers: Sequence[Layer]) -> bool:
    try:
        ours = FCN(network, _classes(network, by_name), *_size(network, by_name))
    except (KeyError, ValueError):
        return False
    ends = ("Input", "Dropout", "SoftmaxWithLoss")
    return {row.name: row for row in without(layers, *ends)} == {row.name: row for row in without(ours.layers, *ends)}


def _classes(network: Network, by_name: Dict[str, Layer]) -> List[int]:
    suffixes = [head.suffix or network.streams[0] for head in network.heads]
    return [by_name[f"score_fr{suffix}"].options["num_output"] for suffix in suffixes]


def _size(network: Network, by_name: Dict[str, Layer]) -> Tuple[float, int]:
    """(width, hidden channels)."""
    channels = {name: by_name[name].options["num_output"] for name in trunk_channels(network, 1.0)}
    return width_of(network, channels), by_name[f"fc6{network.streams[0]}"].options["num_output"]


def _network_keys(name: str, layers: Sequence[Layer]) -> Dict[str, Any]:
    """Keys of the name, and of what is not as published."""
    network, by_name = NETWORKS[name], {layer.name: layer for layer in layers}
    width, hidden = _size(network, by_name)
    ratios = [layer.options["ratio"] for layer in layers if layer.type == "Dropout"] or [0.0]
    losses = [layer.options["normalization"] for layer in layers if layer.type == "SoftmaxWithLoss"]
    keys: Dict[str, Any] = {"symbol": name}
    group = {"width": width, "hidden": hidden, "dropout": ratios[0]}
    changed = {key: value for key, value in group.items() if value != config.defaults().network[key]}
    if changed:
        keys["network"] = changed
    if losses and losses[0] != network.normalization:
        keys["TRAIN"] = {"normalization": losses[0]}
    return keys


# ------------------------------------------------------------------------------------------------------ the text


def _text(path: str, keys: Dict[str, Any], notes: Sequence[str]) -> str:
    notes = [
        f"From {os.path.basename(path)} of Caffe.",
        *notes,
        "Set network.pretrained and dataset yourself: in Caffe the weights come from the command, data from the net.",
    ]
    comments = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    return comments + yaml.safe_dump(keys, sort_keys=False, default_flow_style=False)


def _checked(text: str, path: str) -> str:
    """The text, after our own reader has taken it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        try:
            config.load(file.name)
        except config.ConfigError as error:
            raise ConvertError(f"{path}: {str(error).replace(file.name + ': ', '')}") from None
    return text
