"""How each of MXNet's operators is said in ONNX's: one function each, found in `RULES` by MXNet's name of the operator.

A rule takes the MXNet node and the graph, adds operators to the graph and returns the name of its output, or of all of
them where there are several.
"""

from __future__ import annotations

from typing import Callable, Dict, Sequence, Union

from fullconv.lib.export.graph import Graph, Node
from fullconv.lib.export.rules import convolution, norm, pointwise, pooling, shaping

Rule = Callable[[Node, Graph], Union[str, Sequence[str]]]

RULES: Dict[str, Rule] = {
    **convolution.RULES,
    **norm.RULES,
    **pooling.RULES,
    **pointwise.RULES,
    **shaping.RULES,
}
