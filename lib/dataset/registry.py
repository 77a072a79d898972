"""Data sets by name: one way to ask for a set of objects and for a set of labels per pixel.

A data set is named by its kind, its name in the config, the image set (`train`, `train+val`, `val[:20]`), the folder
root_path with caches and default folders of data, dataset_path with the data, and options that only some sets have.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
from dataclasses import dataclass
from typing import Any, Callable

from fullconv.lib.dataset.detection.detection_set import DetectionSet, JoinedDetectionSet
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image_sets import read_parts
from fullconv.lib.dataset.segmentation.base import JoinedSegmentation, SegmentationSet

DETECTION, SEGMENTATION = "detection", "segmentation"


@dataclass(frozen=True)
class Reader:
    """A class that reads a data set: `reader(image_set, path, limit=..., **options)`.

    module: below lib.dataset, imported when it is asked for. folder: default place of the data under root_path.
    """

    module: str
    name: str
    folder: str

    def load(self) -> Callable[..., Any]:
        """The class."""
        return getattr(importlib.import_module(f"fullconv.lib.dataset.{self.module}"), self.name)


READERS: dict[str, dict[str, Reader]] = {
    DETECTION: {
        "PascalVOC": Reader("detection.pascal_voc", "PascalVOC", "VOCdevkit"),
        "coco": Reader("detection.coco", "COCO", "coco"),
        "shapes": Reader("detection.shapes", "Shapes", "shapes"),
        "voc_xml": Reader("detection.voc_xml", "VOCXml", "VOCdevkit"),
    },
    SEGMENTATION: {
        "voc": Reader("segmentation.voc", "VOCSegmentation", "pascal/VOC2011"),
        "sbd": Reader("segmentation.voc", "SBDSegmentation", "sbdd/dataset"),
        "nyud": Reader("segmentation.nyud", "NYUD", "nyud"),
        "siftflow": Reader("segmentation.siftflow", "SIFTFlow", "sift-flow"),
        "pascal_context": Reader("segmentation.pascal_context", "PASCALContext", "pascal"),
        "camvid": Reader("segmentation.folder", "CamVid", "camvid"),
        "folder": Reader("segmentation.folder", "FolderSegmentation", ""),
        "shapes": Reader("segmentation.voc", "ShapesSegmentation", "shapes"),
        "textured_shapes": Reader("segmentation.voc", "TexturedShapesSegmentation", "textured_shapes"),
    },
}
"""Kind -> name in a config -> reader."""


def detection_set(
    name: str, image_set: str, root_path: str = "./data", dataset_path: str = "", **options: Any
) -> DetectionSet:
    """The set of objects `name` restricted to `image_set`.

    root_path: caches of masks go below it. dataset_path: the data; default a folder under root_path, see READERS.
    options: `masks`, False for boxes alone; a COCO file then needs no `segmentation`.

    Raises DatasetError: unknown name or option, or a set that cannot be found or read.
    """
    read = _reader(DETECTION, name, root_path, dataset_path, {**options, "root_path": root_path})
    return read_parts(image_set, read, JoinedDetectionSet)


def segmentation_set(
    name: str, image_set: str, root_path: str = "./data", dataset_path: str = "", **options: Any
) -> SegmentationSet:
    """The set of labels per pixel `name` restricted to `image_set`.

    dataset_path: the data; default a folder under root_path, see READERS. options, where not empty: `label_path` of
    pascal_context (folder of the annotations), `palette` and `void` of folder (palette file, labels to ignore).

    Raises DatasetError: unknown name or option, or a set that cannot be found or read.
    """
    read = _reader(SEGMENTATION, name, root_path, dataset_path, options)
    return read_parts(image_set, read, JoinedSegmentation)


def _reader(
    kind: str, name: str, root_path: str, dataset_path: str, options: dict[str, Any]
) -> Callable[[str, int | None], Any]:
    """read(image set, limit) of the named set; empty options count as not given."""
    if name not in READERS[kind]:
        raise DatasetError(f"dataset.dataset is {name!r}: known {kind} sets are {', '.join(READERS[kind])}")
    reader = READERS[kind][name]
    make = reader.load()
    given = {key: value for key, value in options.items() if value not in (None, "", (), [])}
    unknown = set(given) - set(inspect.signature(make).parameters)
    if unknown:
        raise DatasetError(f"{kind} set {name!r} has no option {', '.join(sorted(unknown))}")
    path = dataset_path or os.path.join(root_path, reader.folder)
    return lambda image_set, limit: make(image_set, path, limit=limit, **given)


def add_arguments(parser: argparse.ArgumentParser, kind: str) -> None:
    """The command-line arguments that name a data set; `detection_from` and `segmentation_from` read them."""
    parser.add_argument("--dataset", required=True, choices=list(READERS[kind]), help="as dataset.dataset in a config")
    parser.add_argument(
        "--image_set", "--split", dest="image_set", required=True, help="train, train+val, val[:20], SDS_train"
    )
    parser.add_argument(
        "--dataset_path", "--path", dest="dataset_path", default="", help="folder of the data; default below root_path"
    )
    parser.add_argument("--root_path", "--root", dest="root_path", default="./data", help="folder of data and caches")
    if kind == SEGMENTATION:
        parser.add_argument("--label_path", "--label-path", default="", help="pascal_context: folder of annotations")
        parser.add_argument("--palette", default="", help="folder: palette file of colour-coded labels")
        parser.add_argument("--void", type=int, nargs="*", default=[], help="folder: labels to ignore besides 255")
    else:
        parser.add_argument("--boxes", action="store_true", help="boxes alone: a COCO file then needs no segmentation")


def detection_from(args: argparse.Namespace) -> DetectionSet:
    """The set of objects named by the arguments of `add_arguments`."""
    options = {"masks": False} if args.boxes else {}
    return detection_set(args.dataset, args.image_set, args.root_path, args.dataset_path, **options)


def segmentation_from(args: argparse.Namespace) -> SegmentationSet:
    """The set of labels per pixel named by the arguments of `add_arguments`."""
    options = {"label_path": args.label_path, "palette": args.palette, "void": args.void}
    return segmentation_set(args.dataset, args.image_set, args.root_path, args.dataset_path, **options)
