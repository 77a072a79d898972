"""Which method a configuration file is of: to the other methods it is full of unknown keys."""

from __future__ import annotations

import re
from typing import Any, Mapping, Optional

FCOS_GROUP = "MODEL"
"""The group that FCOS's original keeps its network in, and no other method has."""

SYMBOLS = (("FCIS", r"\w+_fcis"), ("FCN", r"[\w-]+-(fcn|classifier).*"), ("InstanceFCN", r"vgg16|resnet_v1_\w+"))
"""(method, what its `symbol` looks like); the first that fits. InstanceFCN's is the backbone alone."""


def method_of(config: Mapping[str, Any]) -> Optional[str]:
    """The name of the method that has such keys; None where they tell nothing."""
    if FCOS_GROUP in config:
        return "FCOS"
    symbol = str(config.get("symbol", ""))
    return next((method for method, form in SYMBOLS if re.fullmatch(form, symbol)), None)


def wrong_method(config: Mapping[str, Any], wanted: str) -> Optional[str]:
    """What to say of a file with the keys of another method than `wanted`; None: it is not so."""
    found = method_of(config)
    if found is None or found == wanted:
        return None
    folder = found.lower()
    return (
        f"a configuration of {found}, not of {wanted}: use it with the scripts in experiments/{folder} and with "
        f"{folder}/demo.py, or name a configuration of {wanted}"
    )
