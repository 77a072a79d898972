"""Command-line arguments that name data sets of either kind, spelled as the keys of a config."""

from __future__ import annotations

import argparse
import os

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import DETECTION, READERS, SEGMENTATION
from fullconv.lib.tools.data_forms import Found, recognise

NAMES = list(dict.fromkeys(name for readers in READERS.values() for name in readers))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH alone, or with what narrows it down; `chosen` reads them."""
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="folder of the data, or a COCO json")
    parser.add_argument("--dataset", choices=NAMES, help="as dataset.dataset in a config; default: what is recognised")
    parser.add_argument(
        "--image_set",
        "--split",
        dest="image_set",
        default="",
        help="train, train+val, val[:20]; default: all there are",
    )
    parser.add_argument(
        "--dataset_path", "--path", dest="dataset_path", default="", help="the same as PATH; default below root_path"
    )
    parser.add_argument("--root_path", "--root", dest="root_path", default="./data", help="folder of data and caches")
    parser.add_argument("--boxes", action="store_true", help="objects: boxes alone, masks are not looked at")
    parser.add_argument("--label_path", "--label-path", default="", help="pascal_context: folder of the annotations")
    parser.add_argument("--palette", default="", help="folder: palette file of colour-coded labels")
    parser.add_argument("--void", type=int, nargs="*", default=[], help="folder: labels to ignore besides 255")


def chosen(args: argparse.Namespace) -> list[Found]:
    """The image sets that the arguments name. Raises DatasetError: there is none, or a name is missing."""
    path = args.path or args.dataset_path
    if args.path and args.dataset_path:
        raise DatasetError(f"PATH {args.path} and --dataset_path {args.dataset_path} are both given: give one")
    if not path and not args.dataset:
        raise DatasetError("name the data: a folder or a COCO json, or --dataset with --image_set")
    if args.dataset and args.image_set and not os.path.isfile(path):
        return _named(args, path)
    if not path:
        kind = DETECTION if args.dataset in READERS[DETECTION] else SEGMENTATION
        path = os.path.join(args.root_path, READERS[kind][args.dataset].folder)
    found = recognise(path)
    kept = [one for one in found if args.dataset in (None, one.dataset) and args.image_set in ("", one.image_set)]
    if not kept:
        there = ", ".join(f"{one.dataset} {one.image_set}" for one in found)
        raise DatasetError(f"{path}: no {args.dataset or 'data set'} {args.image_set} there, but {there}")
    return [_with_options(one, args) for one in kept]


def _named(args: argparse.Namespace, path: str) -> list[Found]:
    kinds = [kind for kind in READERS if args.dataset in READERS[kind]]
    places = [path or os.path.join(args.root_path, READERS[kind][args.dataset].folder) for kind in kinds]
    boxes = {"masks": False} if args.dataset == "voc_xml" else {}  # which holds no masks
    sets = [Found(kind, args.dataset, place, args.image_set, boxes) for kind, place in zip(kinds, places)]
    return [_with_options(one, args) for one in sets]


def _with_options(found: Found, args: argparse.Namespace) -> Found:
    """The set with the given options; its reader refuses those that it does not have."""
    given = {key: value for key, value in vars(args).items() if key in ("label_path", "palette", "void") and value}
    options = {**found.options, **(given if found.kind == SEGMENTATION else {})}
    return Found(found.kind, found.dataset, found.path, found.image_set, options, found.file)
