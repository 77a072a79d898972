"""The class of what is no object, and how files spell it: the same for VOC, COCO and folders of one's own."""

BACKGROUND = "__background__"
"""First name of the class list of every detection set, as in the class files that the originals and ours write."""


def is_background(name: str) -> bool:
    """Whether a class name means the background: `background`, `_background_` (labelme), `__background__` (Caffe)."""
    return name.strip("_").lower() == "background"


def is_ignored(name: str) -> bool:
    """Whether a class name means "no label": `__ignore__`, which labelme numbers -1."""
    return name.startswith("_") and name.strip("_").lower() == "ignore"
