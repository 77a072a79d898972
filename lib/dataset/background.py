"""The class of what is no object, and how files spell it."""

BACKGROUND = "__background__"
"""First name of the class list of every detection set, as in the class files that the originals and ours write."""


def is_background(name: str) -> bool:
    """Whether a class name means the background: `background`, `_background_` (labelme), `__background__` (Caffe)."""
    return name.strip("_").lower() == "background"
