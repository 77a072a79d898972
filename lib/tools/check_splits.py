"""Verifies the published split lists: how many images each has, and which lists may not overlap.

    python -m fullconv.lib.tools.check_splits --nyud DIR --siftflow DIR --seg11valid FILE --sbd DIR --sds DIR

The lists are not part of this repository. Where they come from:

    seg11valid.txt                        data/pascal of the FCN repository (shelhamer/fcn.berkeleyvision.org): the
                                          images of VOC 2011 segval that are not in SBD train
    nyud train, val, test                 data/nyud of it; trainval is train and val together
    sift-flow trainval, test              data/sift-flow of it
    SBD train.txt                         comes with SBD (benchmark_RELEASE/dataset)
    VOC 2010 ImageSets/Main/val.txt       comes with PASCAL VOC 2010
    SDS train, val                        data/VOCdevkit/VOCSDS/ImageSets/Main of the FCIS repository (msracver/FCIS):
                                          the 11355 images of SBD, but not in SBD's own two lists
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.label_files import read_list


@dataclass(frozen=True)
class Lists:
    """What is known of the lists of one set. counts: file -> images; disjoint: files that share no image."""

    name: str
    counts: dict[str, int]
    disjoint: tuple[str, ...] = ()


SDS = "VOCSDS"
SDS_TRAIN, SDS_VAL = f"{SDS}/ImageSets/Main/train.txt", f"{SDS}/ImageSets/Main/val.txt"
SDS_FILES = {"img": ".jpg", "inst": ".mat", "cls": ".mat"}

PUBLISHED = (
    Lists("seg11valid", {"": 736}),
    Lists("nyud", {"train.txt": 381, "val.txt": 414, "test.txt": 654}, ("train.txt", "val.txt", "test.txt")),
    Lists("siftflow", {"trainval.txt": 2486, "test.txt": 200}, ("trainval.txt", "test.txt")),
    Lists("sbd", {"train.txt": 8498}),
    Lists("context", {"VOC2010/ImageSets/Main/val.txt": 5105}),
    Lists("sds", {SDS_TRAIN: 5623, SDS_VAL: 5732}, (SDS_TRAIN, SDS_VAL)),
)


def check(published: Lists, path: str) -> list[tuple[bool, str]]:
    """(right, line) for every list under `path` (which is the list itself where the set has one list only)."""
    lines, ids = [], {}
    for name, expected in published.counts.items():
        file = os.path.join(path, name) if name else path
        try:
            ids[name] = read_list(file)
        except DatasetError as error:
            lines.append((False, str(error)))
            continue
        right = len(ids[name]) == expected
        lines.append(
            (right, f"{file}: {len(ids[name])} images" + ("" if right else f", the published list has {expected}"))
        )
    known = [name for name in published.disjoint if name in ids]
    for i, first in enumerate(known):
        for second in known[i + 1 :]:
            shared = sorted(set(ids[first]) & set(ids[second]))
            if shared:
                lines.append((False, f"{path}: {first} and {second} share {len(shared)} images, first {shared[0]}"))
    return lines


def check_sbd_overlap(seg11valid: str, sbd: str) -> list[tuple[bool, str]]:
    """Training on SBD train and testing on seg11valid needs lists without a common image."""
    try:
        shared = set(read_list(seg11valid)) & set(read_list(os.path.join(sbd, "train.txt")))
    except DatasetError:
        return []  # reported with the list itself
    if shared:
        return [(False, f"{seg11valid} and SBD train.txt share {len(shared)} images: training images would be tested")]
    return [(True, "seg11valid and SBD train share no image")]


def check_sds_files(path: str) -> list[tuple[bool, str]]:
    """Whether VOCSDS below the devkit `path` has image, instance map and class map of every listed id."""
    try:
        ids = [image_id for name in (SDS_TRAIN, SDS_VAL) for image_id in read_list(os.path.join(path, name))]
    except DatasetError:
        return []  # reported with the list itself
    lines = []
    for folder, ending in SDS_FILES.items():
        place = os.path.join(path, SDS, folder)
        present = set(os.listdir(place)) if os.path.isdir(place) else set()
        missing = [image_id for image_id in ids if image_id + ending not in present]
        text = f"{place}: {len(ids) - len(missing)} of {len(ids)} files"
        lines.append((not missing, text + (f", the first missing is {missing[0]}{ending}" if missing else "")))
    return lines


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 1 unless every list is as published."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for published in PUBLISHED:
        files = ", ".join(name or "the list itself" for name in published.counts)
        parser.add_argument(f"--{published.name}", metavar="PATH", help=f"has {files}")
    args = vars(parser.parse_args(argv))
    lines = [line for p in PUBLISHED if args[p.name] for line in check(p, args[p.name])]
    if args["seg11valid"] and args["sbd"]:
        lines += check_sbd_overlap(args["seg11valid"], args["sbd"])
    if args["sds"]:
        lines += check_sds_files(args["sds"])
    if not lines:
        parser.error("name at least one set")
    for right, line in lines:
        print(("ok:    " if right else "WRONG: ") + line)
    return 0 if all(right for right, _ in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
