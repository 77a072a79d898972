"""The class names beside a model: `<prefix>-classes.txt`, one a line; of several label maps one file each."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence, Union

from fullconv.lib.utils import atomic

Prefix = Union[str, Path]


def class_file(prefix: Prefix, suffix: str = "") -> Path:
    """Path of the file."""
    return Path(f"{prefix}-classes{suffix}.txt")


def write_classes(prefix: Prefix, names: Sequence[str], suffix: str = "") -> None:
    """Write the file, whole or not at all.

    Raises ValueError: a name that would not be one line of it.
    """
    for name in names:
        if len(name.strip().splitlines()) != 1:
            raise ValueError(
                f"class name {name!r}: it must be one line of text, because {class_file(prefix, suffix)} has one a "
                "line: rename it in the data"
            )
    atomic.write_text(str(class_file(prefix, suffix)), "\n".join(names) + "\n")


def read_classes(prefix: Prefix, suffix: str = "") -> List[str]:
    """Names in the file without blank lines; none where there is no file."""
    file = class_file(prefix, suffix)
    lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip()]


def check_classes(prefix: Prefix, classes: Sequence[str]) -> None:
    """Raise ValueError when the file, which training leaves, names as many but other classes.

    Another number is left to the comparison of arrays, which needs no such file.
    """
    trained = read_classes(prefix)
    different = [pair for pair in zip(trained, classes) if pair[0] != pair[1].strip()]
    if different and len(trained) == len(classes):
        raise ValueError(
            f"{class_file(prefix)}: the network was trained on other classes than the data has: {different[0][0]!r} "
            f"there is {different[0][1]!r} here. Use the data it was trained on; if classes were only renamed, correct "
            "that file"
        )
