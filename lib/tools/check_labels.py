"""Looks through a set of labels per pixel.

Errors: files that are missing or cannot be read, labels of another size than their image, values that are no class,
palette PNGs whose indices an editor renumbered, masks written as 0 and 255. Notes: classes that never occur, images
without a labelled pixel.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from fullconv.lib.dataset.detection.coco_format import Problem
from fullconv.lib.dataset.image import image_size, open_picture
from fullconv.lib.dataset.segmentation.base import SegmentationSet, check_range
from fullconv.lib.dataset.segmentation.label_files import VOID
from fullconv.lib.dataset.segmentation.palette import make_palette


@dataclass
class Report:
    """What was found for one task. counts: pixels per label value; images: in how many images a value occurs."""

    task: str
    classes: list[str]
    problems: list[Problem] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    images: Counter = field(default_factory=Counter)

    def add(self, record: str, text: str, fatal: bool = True) -> None:
        """One more problem."""
        self.problems.append(Problem(record, text, fatal))


def check(dataset: SegmentationSet, decode: bool = False) -> list[Report]:
    """One report per task of the set. `decode` reads every image whole, not only its header."""
    reports = [Report(task, classes) for task, classes in dataset.tasks.items()]
    palettes = [_PaletteCheck(len(report.classes)) for report in reports]
    for index, image_id in enumerate(dataset.image_ids):
        record = f"image {image_id}"
        broken = _image_problems(dataset, index, decode)
        for text in broken:
            reports[0].add(record, text)
        for report, palette in zip(reports, palettes):
            try:
                _check_label(dataset, index, report, palette)
            except ValueError as error:  # DatasetError and ImageError, which name the file
                if str(error) not in broken:
                    report.add(record, str(error))
    for report in reports:
        _summarise(report)
    return reports


def _image_problems(dataset: SegmentationSet, index: int, decode: bool) -> list[str]:
    """What is wrong with the image in any of its forms."""
    problems, sizes = [], {}
    for name in dataset.inputs:
        try:
            sizes[name] = image_size(dataset.image_file(index, name))
            if decode or name == "depth":  # only the pixels tell whether depth has holes
                dataset.read_input(index, name)
        except ValueError as error:
            problems.append(str(error))
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {w} x {h}" for name, (h, w) in sizes.items())
        problems.append(f"the forms of one image differ in size: {shown}")
    return problems


def _check_label(dataset: SegmentationSet, index: int, report: Report, palette: _PaletteCheck) -> None:
    labels = dataset.read_label(index, report.task, check=False)
    path = dataset.label_file(index, report.task)
    values, counts = np.unique(labels, return_counts=True)
    report.counts.update(dict(zip(values.tolist(), counts.tolist())))
    report.images.update(values.tolist())
    record = f"image {dataset.image_ids[index]}"
    if values.tolist() == [VOID]:
        report.add(record, f"{path}: no pixel is labelled, all are void", fatal=False)
    if getattr(dataset, "palette", None) is None:
        for text, fatal in palette.check(path):
            report.add(record, text, fatal)
    check_range(path, labels, len(report.classes))


class _PaletteCheck:
    """Compares the colours of palette PNGs: class indices are right only while their colours stay in place."""

    def __init__(self, num_classes: int) -> None:
        voc = make_palette(256)
        self.voc = {tuple(voc[label].tolist()): label for label in range(num_classes)}
        self.first: dict[int, tuple[tuple[int, ...], str]] = {}

    def check(self, path: str) -> list[tuple[str, bool]]:
        """What is wrong with the palette of the label `path`, and whether it surely is."""
        colours = _used_colours(path)
        moved = [(index, self.voc[c]) for index, c in colours.items() if self.voc.get(c, index) != index and any(c)]
        # A palette of one's own has some of VOC's colours by chance, so only one without any other is VOC's; and a
        # single colour, green for the object say, is no order that could have been changed.
        if moved and all(colour in self.voc or index == VOID for index, colour in colours.items()):
            shown = ", ".join(f"index {index} has the colour of class {label}" for index, label in moved[:4])
            if len(moved) > 1:
                text = f"an editor renumbered the palette: {shown} in VOC's colours: give colours with --palette"
                return [(f"{path}: {text}", True)]
            return [(f"{path}: {shown} in VOC's colours, which is right if you chose it", False)]
        for index, colour in colours.items():
            before, other = self.first.setdefault(index, (colour, path))
            if colour != before:
                text = (
                    f"{path}: index {index} is drawn in R G B {colour} here but in {before} in {other}: the palettes "
                    f"were made per file, so indices mean nothing: convert by colour, with --palette"
                )
                return [(text, True)]
        return []


def _used_colours(path: str) -> dict[int, tuple[int, ...]]:
    """Index -> colour of the indices a palette PNG uses; empty for other labels."""
    if not path.endswith(".png"):
        return {}
    with open_picture(path) as image:
        if image.mode != "P":
            return {}
        palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
        return {i: tuple(palette[i].tolist()) for i in np.unique(np.array(image)).tolist() if i < len(palette)}


def _summarise(report: Report) -> None:
    """What only the whole set shows."""
    missing = [name for label, name in enumerate(report.classes) if not report.counts[label]]
    task = f"task {report.task}"
    if set(report.counts) == {0, VOID} and len(report.classes) > 1:
        text = "all labels are 0 or 255, and 255 means void: masks written as 0/255 need 1 for the object"
        report.add(task, text)
    elif missing and report.counts:
        report.add(task, f"{len(missing)} classes never occur: {', '.join(missing)}", fatal=False)


def table(report: Report) -> str:
    """A line per label value: in how many images it occurs, and its share of the pixels."""
    total = max(sum(report.counts.values()), 1)
    width = max(len(name) for name in [*report.classes, "(no such class)"])
    lines = [f"task {report.task}", f"{'label':>5}  {'class':<{width}} {'images':>7} {'pixels':>9}"]
    for label in sorted({*report.counts, *range(len(report.classes))}):
        name = report.classes[label] if 0 <= label < len(report.classes) else "(no such class)"
        name = "(void)" if label == VOID and label >= len(report.classes) else name
        share = f"{100 * report.counts[label] / total:.3f} %"
        lines.append(f"{label:>5}  {name:<{width}} {report.images[label]:>7} {share:>9}")
    return "\n".join(lines)
