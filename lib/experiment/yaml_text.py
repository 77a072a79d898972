"""yaml that may come from anywhere: plain data, and no more of them than a configuration has.

`yaml.SafeLoader` builds nothing but plain data either; but a value may be mentioned as often as one likes (`&a`, `*a`,
`<<: *a`), each mention inside of the next, so that some hundred bytes stand for more values than memory holds.
"""

from __future__ import annotations

from typing import Any, Dict

import yaml

MAX_LETTERS, MAX_VALUES = 1 << 17, 10_000
"""Over ten times the largest configuration; yaml takes some 6 microseconds a letter."""


def read_yaml(text: str) -> Any:
    """The value of a yaml text.

    Raises yaml.YAMLError: it is none, or has too many values where each mention of one counts; and some of Python's own
    errors, as PyYAML does.
    """
    if len(text) > MAX_LETTERS:
        raise yaml.YAMLError(f"{len(text)} letters, more than {MAX_LETTERS}, which no configuration has")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES} values, those counted each time that *name mentions them")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: Dict[int, int]) -> int:
    """Values at a node, each mention counted. Every node is looked at once; one inside of itself counts as too many."""
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1
        children = node.value if isinstance(node, (yaml.SequenceNode, yaml.MappingNode)) else []
        parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = min(MAX_VALUES + 1, 1 + sum(_count(part, known) for part in parts))
    return known[id(node)]
