"""`solver.prototxt`: how a Caffe training goes, with Caffe's defaults for what the file leaves out."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from fullconv.lib.convert import prototxt
from fullconv.lib.convert.caffe_fields import Scope
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.prototxt import Message

TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
"""In the order of the numbers and words that `solver_type` had before `type` was text."""

MOST = 1 << 40
"""Larger counts are taken for damage."""

NOT_TRAINING = (
    "test_net",
    "test_net_param",
    "test_state",
    "train_state",
    "test_iter",
    "test_interval",
    "test_compute_loss",
    "test_initialization",
    "snapshot_prefix",
    "snapshot_diff",
    "snapshot_format",
    "snapshot_after_train",
    "solver_mode",
    "device_id",
    "debug_info",
    "layer_wise_reduce",
    "weights",
)
"""Fields that change no weight: of testing, saving and the machine."""

NETS = ("net", "train_net")
INLINE_NETS = ("net_param", "train_net_param")

READ = (
    *NETS,
    *INLINE_NETS,
    "type",
    "solver_type",
    "base_lr",
    "lr_policy",
    "gamma",
    "power",
    "stepsize",
    "stepvalue",
    "momentum",
    "momentum2",
    "delta",
    "rms_decay",
    "weight_decay",
    "regularization_type",
    "clip_gradients",
    "iter_size",
    "max_iter",
    "snapshot",
    "display",
    "average_loss",
    "random_seed",
)


class Solver(NamedTuple):
    """A solver's fields. steps: iterations at which the rate is multiplied by gamma. seed: -1 when not stated. net: the
    file's path as written, or the message itself. left_out: fields that it states and that change no weight."""

    type: str
    base_lr: float
    lr_policy: str
    gamma: float
    power: float
    steps: Tuple[int, ...]
    momentum: float
    momentum2: float
    delta: float
    weight_decay: float
    regularization_type: str
    clip_gradients: float
    iter_size: int
    max_iter: int
    snapshot: int
    display: int
    average_loss: int
    seed: int
    net: str
    inline_net: Optional[Message]
    left_out: Tuple[str, ...]


def load(path: str) -> Solver:
    """Read a solver.prototxt.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: it is no solver, or a field or value is not known; names the file and the line.
    """
    message = prototxt.load(path)
    try:
        return _read(_Fields("of the solver", message))
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None


class _Fields(Scope):
    """The fields of a solver, whose counts go further than those of a layer."""

    def count(self, key: str, default: Optional[int] = None, least: int = 0) -> int:
        return self._whole(key, self.message.get(key, default), least)

    def _whole(self, key: str, value: object, least: int) -> int:
        if value is None:
            raise self.error(f"{key} is missing")
        if not isinstance(value, int) or not least <= value <= MOST:
            raise self.error(f"{key}: a whole number of at least {least} is expected, found {str(value)[:40]!r}")
        return value

    def word(self, key: str, default: str) -> str:
        # The last one counts, as in protobuf.
        return (self.texts(key) or (default,))[-1]

    def error(self, text: str) -> ConvertError:
        return ConvertError(f"line {self.message.line}: {text}")


def _read(fields: _Fields) -> Solver:
    stated = fields.message.keys()
    if not {"layer", "layers"}.isdisjoint(stated):
        raise fields.error("this is a network, not a solver; the solver is the file that names it")
    fields.allow(*READ, *NOT_TRAINING)
    for key in ("base_lr", "max_iter"):
        if not fields.message.all(key):
            raise fields.error(f"{key} is missing: not a solver, or not a whole one")
    policy, max_iter = fields.word("lr_policy", "fixed"), fields.count("max_iter", least=1)
    nets = [net for key in NETS for net in fields.texts(key)]
    inline = [fields.message.get(key) for key in INLINE_NETS if fields.message.all(key)]
    return Solver(
        type=_type(fields),
        base_lr=fields.real("base_lr", 0.0),
        lr_policy=policy,
        gamma=fields.real("gamma", 0.0),
        power=fields.real("power", 0.0),
        steps=_steps(fields, policy, max_iter),
        momentum=fields.real("momentum", 0.0),
        # Caffe's defaults, here and below.
        momentum2=fields.real("momentum2", 0.999),
        delta=fields.real("delta", 1e-8),
        weight_decay=fields.real("weight_decay", 0.0),
        regularization_type=fields.word("regularization_type", "L2"),
        clip_gradients=fields.real("clip_gradients", -1.0),
        iter_size=fields.count("iter_size", 1, least=1),
        max_iter=max_iter,
        snapshot=fields.count("snapshot", 0),
        display=fields.count("display", 0),
        average_loss=fields.count("average_loss", 1, least=1),
        seed=fields.count("random_seed", -1, least=-1),
        net=nets[-1] if nets else "",
        inline_net=inline[-1] if inline and isinstance(inline[-1], Message) else None,
        left_out=tuple(key for key in stated if key in NOT_TRAINING),
    )


def _type(fields: _Fields) -> str:
    """`type: "Adam"`, or before that `solver_type: ADAM` or `5`."""
    if fields.message.all("type"):
        return fields.word("type", "SGD")
    upper = [name.upper() for name in TYPES]
    return TYPES[upper.index(fields.choice("solver_type", upper, "SGD"))]


def _steps(fields: _Fields, policy: str, max_iter: int) -> Tuple[int, ...]:
    """Iterations before the end at which the rate changes."""
    if policy == "step":
        size = fields.count("stepsize", least=1)
        # Each step becomes a number in the configuration.
        if max_iter // size > 100:
            raise fields.error(f"stepsize {size} makes {max_iter // size} steps; use lr_policy poly or fixed")
        return tuple(range(size, max_iter, size))
    if policy == "multistep":
        values = [fields._whole("stepvalue", value, 1) for value in fields.message.all("stepvalue")]
        # A step at the end or behind it changes no update.
        return tuple(value for value in values if value < max_iter)
    return ()
