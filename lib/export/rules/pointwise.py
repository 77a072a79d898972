"""Operators that change each number by itself, join maps number by number, or look along one axis."""

from __future__ import annotations

from typing import Callable, Dict

from fullconv.lib.export.graph import Graph, Node

ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}


def same(node: Node, graph: Graph) -> str:
    """What does nothing in testing."""
    return node.inputs[0]


def activation(node: Node, graph: Graph) -> str:
    """The kinds of `Activation`."""
    kind = node.attrs["act_type"]
    if kind not in ACTIVATIONS:
        raise node.error(f"act_type={kind}: known are {', '.join(ACTIVATIONS)}")
    return graph.add(ACTIVATIONS[kind], node.inputs[0], name=node.name)


def leaky(node: Node, graph: Graph) -> str:
    """The kinds of `LeakyReLU` without arrays."""
    kind, slope = node.attrs.get("act_type", "leaky"), float(node.get("slope", 0.25))
    operators = {"leaky": "LeakyRelu", "elu": "Elu"}
    if kind not in operators:
        raise node.error(f"act_type={kind}: known are {', '.join(operators)}")
    return graph.add(operators[kind], node.inputs[0], name=node.name, alpha=slope)


def clip(node: Node, graph: Graph) -> str:
    """Between two numbers."""
    low, high = graph.floats(float(node.get("a_min"))), graph.floats(float(node.get("a_max")))
    return graph.add("Clip", node.inputs[0], low, high, name=node.name)


def square(node: Node, graph: Graph) -> str:
    """x times x."""
    return graph.add("Mul", node.inputs[0], node.inputs[0], name=node.name)


def softmax(node: Node, graph: Graph) -> str:
    """Along one axis."""
    if node.get("temperature"):
        raise node.error("temperature is not known")
    return graph.add("Softmax", node.inputs[0], name=node.name, axis=int(node.get("axis", -1)))


def softmax_activation(node: Node, graph: Graph) -> str:
    """Along the channels, or of rows (N, C)."""
    # Of maps the mode "instance" means everything behind the first axis by MXNet's text, the last axis by its oneDNN.
    axis = 1 if node.attrs.get("mode", "instance") == "channel" else -1
    return graph.add("Softmax", node.inputs[0], name=node.name, axis=axis)


def _plain(operator: str) -> Callable[[Node, Graph], str]:
    """ONNX has the same operator, of as many inputs; where ranks differ both count from the last axis."""
    return lambda node, graph: graph.add(operator, *node.inputs, name=node.name)


def _scalar(operator: str, swapped: bool = False) -> Callable[[Node, Graph], str]:
    """A map and a number; swapped: the number first."""

    def rule(node: Node, graph: Graph) -> str:
        inputs = node.inputs[0], graph.floats(float(node.get("scalar")))
        return graph.add(operator, *(reversed(inputs) if swapped else inputs), name=node.name)

    return rule


def _as_number(rule: Callable[[Node, Graph], str]) -> Callable[[Node, Graph], str]:
    """A comparison, whose yes and no are 1.0 and 0.0 in MXNet."""
    return lambda node, graph: graph.add("Cast", rule(node, graph), to=1)


def _reduction(operator: str) -> Callable[[Node, Graph], str]:
    """Over some axes, by default all."""

    def rule(node: Node, graph: Graph) -> str:
        axes, keep = node.get("axis"), int(node.flag("keepdims"))
        if node.flag("exclude"):
            raise node.error("exclude=True: name the axes themselves")
        axes = () if axes is None else axes if isinstance(axes, tuple) else (axes,)
        inputs = [node.inputs[0], graph.ints(*axes)] if axes else [node.inputs[0]]
        return graph.add(operator, *inputs, name=node.name, keepdims=keep)

    return rule


RULES: Dict[str, Callable[[Node, Graph], str]] = {
    **dict.fromkeys(("_copy", "identity", "BlockGrad", "Dropout", "stop_gradient"), same),
    **{
        f"{prefix}_{word}": _plain(operator)
        for word, operator in {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}.items()
        for prefix in ("elemwise", "broadcast")
    },
    "_plus": _plain("Add"),
    "_minus": _plain("Sub"),
    "_mul": _plain("Mul"),
    "_div": _plain("Div"),
    "broadcast_plus": _plain("Add"),
    "broadcast_minus": _plain("Sub"),
    "add_n": _plain("Sum"),
    "broadcast_maximum": _plain("Max"),
    "broadcast_minimum": _plain("Min"),
    "_maximum": _plain("Max"),
    "relu": _plain("Relu"),
    "sigmoid": _plain("Sigmoid"),
    "tanh": _plain("Tanh"),
    "exp": _plain("Exp"),
    "log": _plain("Log"),
    "sqrt": _plain("Sqrt"),
    "abs": _plain("Abs"),
    "negative": _plain("Neg"),
    "_plus_scalar": _scalar("Add"),
    "_minus_scalar": _scalar("Sub"),
    "_rminus_scalar": _scalar("Sub", True),
    "_mul_scalar": _scalar("Mul"),
    "_div_scalar": _scalar("Div"),
    "_rdiv_scalar": _scalar("Div", True),
    "_power_scalar": _scalar("Pow"),
    "_rpower_scalar": _scalar("Pow", True),
    "_maximum_scalar": _scalar("Max"),
    "_minimum_scalar": _scalar("Min"),
    "_greater_scalar": _as_number(_scalar("Greater")),
    "_lesser_scalar": _as_number(_scalar("Less")),
    "mean": _reduction("ReduceMean"),
    "max": _reduction("ReduceMax"),
    "sum": _reduction("ReduceSum"),
    "Activation": activation,
    "LeakyReLU": leaky,
    "clip": clip,
    "square": square,
    "softmax": softmax,
    "SoftmaxActivation": softmax_activation,
}
