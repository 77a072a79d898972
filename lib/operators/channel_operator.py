"""Maximum, pick and softmax over groups of channels: how FCIS joins classification and segmentation.

data is (N, G * k, H, W): G groups (classes) of k consecutive channels (FCIS: k = 2, outside and inside scores).
`mx.sym.contrib.ChannelOperator` is the same operator under the original's name.
"""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["group_max", "group_pick", "group_softmax"]

# MXNet's prefix puts it where symbol files and code of the original look for it.
_OPERATOR = "_contrib_ChannelOperator"


def group_max(data: Array, group: int, name: Optional[str] = None) -> Array:
    """(N, G, H, W): maximum over each group's channels. The gradient goes to the first of equal maxima only."""
    return invoke(_OPERATOR, data, name=name, op_type="Group_Max", group=group)


def group_pick(
    data: Array, pick: Array, group: int, pick_type: str = "Label_Pick", name: Optional[str] = None
) -> Array:
    """(N, k, H, W): the channels of one group per sample; no gradient to `pick`.

    Label_Pick: pick is (N, 1, 1, 1), the group's number; outside [0, G) or NaN gives zeros and no gradient.
    Score_Pick: pick is (N, G, 1, 1), scores; the group is the first best of 1 .. G-1 (0 is the background).
    """
    return invoke(_OPERATOR, data, pick, name=name, op_type="Group_Pick", group=group, pick_type=pick_type)


def group_softmax(data: Array, group: int, name: Optional[str] = None) -> Array:
    """(N, G * k, H, W): softmax over each group's channels at each position."""
    return invoke(_OPERATOR, data, name=name, op_type="Group_Softmax", group=group)
