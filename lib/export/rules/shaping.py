"""Operators that move numbers: crops, concatenation, enlargement, new shapes. Sizes are computed in the graph, so that
one file serves images of all sizes."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Union

from fullconv.lib.export.graph import Graph, Node

TO_END = 2**31 - 1
"""A place behind every map."""


def concat(node: Node, graph: Graph) -> str:
    """Along one axis, by default the channels."""
    return graph.add("Concat", *node.inputs, name=node.name, axis=int(node.get("dim", 1)))


def crop(node: Node, graph: Graph) -> str:
    """The part of a map from an offset on, of the size of another map or of a given one."""
    if node.flag("center_crop"):
        raise node.error("center_crop=True: compute the offset")
    offset = node.pair("offset", (0, 0))
    if len(node.inputs) == 2:
        size = graph.shape(node.inputs[1], 2, 4)
    else:
        size = graph.ints(*node.pair("h_w", (0, 0)))
    ends = graph.add("Add", graph.ints(*offset), size)
    return graph.add("Slice", node.inputs[0], graph.ints(*offset), ends, graph.ints(2, 3), name=node.name)


def slice_like(node: Node, graph: Graph) -> str:
    """The first part of a map, along some axes as long as another map."""
    data, like = node.inputs
    axes = node.get("axes") or ()
    if not axes:
        raise node.error("axes are not named")
    axes = axes if isinstance(axes, tuple) else (axes,)
    ends = graph.add("Gather", graph.shape(like), graph.ints(*axes), axis=0)
    return graph.add("Slice", data, graph.ints(*[0] * len(axes)), ends, graph.ints(*axes), name=node.name)


def slice_axis(node: Node, graph: Graph) -> str:
    """From one place of an axis to another; no end: all that is left."""
    end = node.get("end")
    last = TO_END if end is None or end == "None" else int(end)
    begin, axis = graph.ints(int(node.get("begin"))), graph.ints(int(node.get("axis")))
    return graph.add("Slice", node.inputs[0], begin, graph.ints(last), axis, name=node.name)


def split(node: Node, graph: Graph) -> Union[str, Sequence[str]]:
    """Equal parts of an axis."""
    parts = int(node.get("num_outputs"))
    if node.flag("squeeze_axis"):
        raise node.error("squeeze_axis=True is not known")
    axis = int(node.get("axis", 1))
    return graph.add_many("Split", node.inputs[0], name=node.name, outputs=parts, axis=axis, num_outputs=parts)


def upsampling(node: Node, graph: Graph) -> str:
    """Every pixel several times."""
    scale = float(node.get("scale"))
    if node.attrs.get("sample_type") != "nearest" or len(node.inputs) != 1:
        raise node.error("only sample_type=nearest of one map; interpolate by a Deconvolution")
    scales = graph.floats(1.0, 1.0, scale, scale)
    place = "asymmetric"  # pixel k of the larger map is pixel k / scale, rounded down, of the smaller one
    rule: Dict[str, Any] = {"coordinate_transformation_mode": place, "nearest_mode": "floor", "mode": "nearest"}
    return graph.add("Resize", node.inputs[0], "", scales, name=node.name, **rule)


def pad(node: Node, graph: Graph) -> str:
    """A constant around a map."""
    if node.attrs.get("mode") != "constant":
        raise node.error(f"mode={node.attrs.get('mode')}: only constant is known")
    width = node.get("pad_width")
    value = graph.floats(float(node.get("constant_value", 0.0)))
    return graph.add("Pad", node.inputs[0], graph.ints(*width[::2], *width[1::2]), value, name=node.name)


def flatten(node: Node, graph: Graph) -> str:
    """(N, everything else)."""
    return graph.add("Flatten", node.inputs[0], name=node.name, axis=1)


def transpose(node: Node, graph: Graph) -> str:
    """The axes in another order."""
    return graph.add("Transpose", node.inputs[0], name=node.name, perm=node.get("axes"))


def expand_dims(node: Node, graph: Graph) -> str:
    """An axis of length 1 more."""
    return graph.add("Unsqueeze", node.inputs[0], graph.ints(int(node.get("axis"))), name=node.name)


def reshape_like(node: Node, graph: Graph) -> str:
    """The shape of another map."""
    return graph.add("Reshape", node.inputs[0], graph.shape(node.inputs[1]), name=node.name)


def reshape(node: Node, graph: Graph) -> str:
    """MXNet's codes: 0 keeps a length, -1 takes what is left, -2 all other axes, -3 joins two, -4 splits one."""
    wanted, data = list(node.get("shape")), node.inputs[0]
    if node.flag("reverse"):
        raise node.error("reverse=True is not known")
    if min(wanted) >= -1 and wanted.count(-1) <= 1:
        # ONNX has these two codes with the same meaning: 0 is the length at the same place.
        return graph.add("Reshape", data, graph.ints(*wanted), name=node.name)
    return graph.add("Reshape", data, graph.add("Concat", *_lengths(wanted, data, graph), axis=0), name=node.name)


def _lengths(wanted: List[int], data: str, graph: Graph) -> List[str]:
    """Each length of the new shape as a vector of one number; `at` walks along the axes of the map."""
    parts, at, codes = [], 0, iter(wanted)
    for code in codes:
        if code == 0:
            parts.append(graph.shape(data, at, at + 1))
        elif code == -2:
            parts.append(graph.shape(data, at))
        elif code == -3:
            parts.append(graph.add("Mul", graph.shape(data, at, at + 1), graph.shape(data, at + 1, at + 2)))
            at += 1
        elif code == -4:
            # One of the two may be -1, which a shape may hold only once: it is what the other leaves.
            first, second = next(codes), next(codes)
            whole = graph.shape(data, at, at + 1)
            known = graph.ints(second if first == -1 else first)
            rest = graph.add("Div", whole, known)
            parts += [rest, known] if first == -1 else [known, rest]
        else:
            parts.append(graph.ints(code))
        at += 1
    return parts


RULES: Dict[str, Callable[[Node, Graph], Union[str, Sequence[str]]]] = {
    **dict.fromkeys(("Concat", "concat"), concat),
    "Crop": crop,
    "slice_like": slice_like,
    "slice_axis": slice_axis,
    **dict.fromkeys(("SliceChannel", "split"), split),
    "UpSampling": upsampling,
    **dict.fromkeys(("Pad", "pad"), pad),
    **dict.fromkeys(("Flatten", "flatten"), flatten),
    "transpose": transpose,
    "expand_dims": expand_dims,
    "reshape_like": reshape_like,
    **dict.fromkeys(("Reshape", "reshape"), reshape),
}
