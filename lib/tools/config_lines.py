"""The lines of a config that name a data set, for every method that can use it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Sequence

import yaml

from fullconv.lib.dataset.registry import DETECTION
from fullconv.lib.tools.data_forms import Found


def config_lines(sets: Sequence[Found]) -> list[str]:
    """The groups of a config that name each data set, its image sets dealt to training and testing."""
    groups: dict[str, list[Found]] = defaultdict(list)
    for found in sets:
        groups[repr((found.kind, found.dataset, found.path, found.options))].append(found)
    return [line for group in groups.values() for line in _group(group)]


def _group(group: list[Found]) -> list[str]:
    first, names = group[0], [found.image_set for found in group]
    train = _prefer(names, "train", but="val")
    test = _prefer([name for name in names if name != train] or names, "val", but="train")
    lines: dict[str, Any] = {"dataset": first.dataset, "dataset_path": first.path}
    lines.update(image_set=train, test_image_set=test)
    if first.kind == DETECTION:
        sets = {"TRAIN": [train], "TEST": [test]}
        boxes = {"DATA": {"dataset": first.dataset, "dataset_path": first.path}, "DATASETS": sets}
        fcos = f"FCOS: {_yaml({**boxes, 'MODEL': {'FCOS': {'NUM_CLASSES': 0}}})}"
        if first.options.get("masks") is False:
            return [f"{first.path}: for detection without masks; FCIS and InstanceFCN learn from masks", fcos]
        # FCIS has as many classes as the data; InstanceFCN knows objects only.
        fcis = f"FCIS: {_yaml({'dataset': {**lines, 'NUM_CLASSES': 0}})}"
        return [fcis, fcos, f"InstanceFCN: {_yaml({'dataset': lines})}"]
    options = {key: value for key, value in first.options.items() if value}
    if "void" in options:
        options["void"] = ",".join(str(label) for label in options["void"])
    return [f"FCN: {_yaml({'dataset': {**lines, **options}})}"]


def _prefer(names: Sequence[str], word: str, but: str) -> str:
    """The first name with `word` in it and without `but`, else with `word`, else the first."""
    with_word = [name for name in names if word in name]
    return next((name for name in with_word if but not in name), (with_word or list(names))[0])


def _yaml(groups: dict[str, Any]) -> str:
    text = yaml.safe_dump(groups, default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip()[1:-1]  # the braces of the outermost mapping
