"""Finds out what data a folder or a json file holds, so that nobody has to know the names of readers to check it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from glob import escape, glob
from typing import Any, Callable

from fullconv.lib.dataset.detection.coco_files import find_annotations
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import DETECTION, SEGMENTATION, detection_set, segmentation_set
from fullconv.lib.dataset.segmentation.folder import IMAGE_ENDINGS, PALETTE_FILES

ROBOFLOW = "_annotations.coco.json"
# Ten of CamVid's eleven classes; the eleventh is called sign or SignSymbol.
CAMVID = {"sky", "building", "pole", "road", "pavement", "tree", "fence", "car", "pedestrian", "bicyclist"}
_OTHER_COCO = ("captions_", "person_keypoints_", "stuff_", "panoptic_")  # jsons of COCO that describe no objects


@dataclass(frozen=True)
class Found:
    """One image set: kind (objects or labels per pixel) and the names that a config gives it.

    options: of its reader. file: the annotation file where there is one; `readable`: whether its reader looks there.
    """

    kind: str
    dataset: str
    path: str
    image_set: str
    options: dict[str, Any] = field(default_factory=dict)
    file: str = ""

    @property
    def readable(self) -> bool:
        """Whether the reader finds the set under its names."""
        if not self.file:
            return True
        try:
            return os.path.samefile(find_annotations(self.path, self.image_set), self.file)
        except (DatasetError, OSError):
            return False

    def open(self, root_path: str, **more: Any) -> Any:
        """The set. Raises DatasetError or ImageError as its reader does."""
        make: Callable[..., Any] = detection_set if self.kind == DETECTION else segmentation_set
        return make(self.dataset, self.image_set, root_path, self.path, **{**self.options, **more})


def recognise(path: str) -> list[Found]:
    """Every image set at `path`. Raises DatasetError that says what was looked for."""
    if not os.path.exists(path):
        raise DatasetError(f"{path}: no such file or folder")
    if os.path.isfile(path):
        return [of_json(path)]
    path = path.rstrip("/") or path
    drawn = _shapes(path)
    if drawn:  # it lies in the layouts of VOC and COCO, too
        return drawn
    found = [one for find in (_coco, _voc, _sbd, _folder, _indoor_and_outdoor) for one in find(path)]
    if not found:
        raise DatasetError(f"{path}: no data set is recognised.{_hint(path)} Looked for:\n{LOOKED_FOR}")
    return found


LOOKED_FOR = f"""\
  coco            annotations/*.json, *.json, <set>/{ROBOFLOW}, with images, categories and annotations
  PascalVOC, voc  ImageSets/Main/<set>.txt or ImageSets/Segmentation/<set>.txt, here or in VOC*/ or VOCdevkit/VOC*/,
                  with SegmentationObject/ or inst/ (PascalVOC), SegmentationClass/ or cls/ (both)
  voc_xml         the same lists in ImageSets/Main, with Annotations/*.xml and JPEGImages/: boxes without masks
  sbd             <set>.txt, img/, cls/*.mat
  folder, camvid  images/<set>/ and labels/<set>/*.png, images/ and labels/*.png, or <set>.txt of `image label` lines,
                  with classes.txt, {" or ".join(PALETTE_FILES)}
  nyud            <set>.txt, data/images/, segmentation/
  siftflow        <set>.txt, Images/, SemanticLabels/
  shapes          complete-<set>.json, as the embedded sets are written
PASCAL-Context is read where it is named: --dataset pascal_context --image_set val --label_path DIR.
Name yours with --dataset and --image_set (docs/own_data.md and docs/segmentation_data.md describe the forms)."""


def of_json(file: str) -> Found:
    """The set that a COCO json is, whose images are looked for below the folder it belongs to."""
    folder, name = os.path.split(os.path.abspath(file))
    within = os.path.basename(folder)
    parent = os.path.dirname(folder)
    if not os.path.isabs(file):
        folder, parent = os.path.relpath(folder), os.path.relpath(parent)
    if name == ROBOFLOW:
        return Found(DETECTION, "coco", parent, within, file=file)
    stem = os.path.splitext(name)[0]
    if within == "annotations":
        folder = parent
    for prefix in ("instances_", "image_info_"):
        stem = stem[len(prefix) :] if stem.startswith(prefix) else stem
    return Found(DETECTION, "coco", folder, stem, file=file)


def _coco(path: str) -> list[Found]:
    places = ("annotations/*.json", "*.json", f"*/{ROBOFLOW}")
    files = [file for place in places for file in sorted(glob(os.path.join(escape(path), place)))]
    wanted = [file for file in files if not os.path.basename(file).startswith(_OTHER_COCO)]
    found = [of_json(file) for file in wanted if _names_images(file)]
    # Roboflow's file stays where it is when a clean one was written beside it.
    clean = {one.image_set for one in found if os.path.basename(one.file) != ROBOFLOW}
    return [one for one in found if os.path.basename(one.file) != ROBOFLOW or one.image_set not in clean]


def _names_images(file: str) -> bool:
    """Whether a json has COCO's lists; not parsed, as those of COCO take a while."""
    with open(file, "rb") as content:
        data = content.read()
    return b'"images"' in data and b'"categories"' in data


def _voc(path: str) -> list[Found]:
    pattern = escape(path)
    roots = [path, *sorted(glob(f"{pattern}/VOC*")), *sorted(glob(f"{pattern}/VOCdevkit/VOC*"))]
    return [found for root in roots if os.path.isdir(f"{root}/ImageSets") for found in _voc_sets(root)]


def _voc_sets(root: str) -> list[Found]:
    instances, classes = _first(root, "inst", "SegmentationObject"), _first(root, "cls", "SegmentationClass")
    name, parent = os.path.basename(os.path.abspath(root)), os.path.dirname(os.path.abspath(root))
    parent = parent if os.path.isabs(root) else os.path.relpath(parent)
    found = []
    if instances and classes and name.startswith("VOC"):
        for image_set in _lists(root, "ImageSets/Main", instances):
            found.append(Found(DETECTION, "PascalVOC", parent, f"{name[len('VOC') :]}_{image_set}"))
    elif os.path.isdir(f"{root}/Annotations") and os.path.isdir(f"{root}/JPEGImages"):
        for image_set in _lists(root, "ImageSets/Main", "Annotations"):
            found.append(Found(DETECTION, "voc_xml", root, image_set, {"masks": False}))
    if classes:
        lists = _lists(root, "ImageSets/Segmentation", classes) or _lists(root, "ImageSets/Main", classes)
        found += [Found(SEGMENTATION, "voc", root, image_set) for image_set in lists]
    return found


def _lists(root: str, folder: str, maps: str) -> list[str]:
    """Names of the image lists in a folder most of whose images have a map; VOC's Main lists others, too."""
    names = []
    folder_of_maps = os.path.join(root, maps)
    files = glob(os.path.join(escape(folder_of_maps), "**", "*"), recursive=True)  # ids may have a folder
    present = {os.path.splitext(os.path.relpath(file, folder_of_maps))[0] for file in files}
    for file in sorted(glob(os.path.join(escape(root), folder, "*.txt"))):
        rows = [line.split() for line in _text(file) if line.strip()]
        # Lists of two columns say of each image whether one class occurs in it.
        if rows and all(len(row) == 1 for row in rows) and 2 * sum(row[0] in present for row in rows) >= len(rows):
            names.append(os.path.splitext(os.path.basename(file))[0])
    return names


def _sbd(path: str) -> list[Found]:
    if not os.path.isdir(f"{path}/img") or not os.path.isdir(f"{path}/cls") or os.path.isdir(f"{path}/ImageSets"):
        return []
    return [Found(SEGMENTATION, "sbd", path, image_set) for image_set in _lists(path, "", "cls")]


def _folder(path: str) -> list[Found]:
    if not any(os.path.isfile(f"{path}/{name}") for name in ("classes.txt", *PALETTE_FILES)):
        return []
    names = [os.path.splitext(os.path.basename(f))[0] for f in _pair_lists(path)]
    split = [os.path.basename(folder.rstrip("/")) for folder in sorted(glob(f"{escape(path)}/images/*/"))]
    names += [name for name in split if _has_labels(f"{path}/labels/{name}") and name not in names]
    if not names and _has_labels(f"{path}/labels") and os.path.isdir(f"{path}/images"):
        names = ["all"]
    classes = [line.strip().lower() for line in _text(f"{path}/classes.txt") if line.strip()]
    kind = "camvid" if len(classes) == 11 and set(classes) >= CAMVID else "folder"
    return [Found(SEGMENTATION, kind, path, name) for name in names]


def _pair_lists(path: str) -> list[str]:
    """Lists of `image label` lines, or of names in images/."""
    wanted = []
    for file in sorted(glob(f"{escape(path)}/*.txt")):
        if os.path.basename(file) not in ("classes.txt", *PALETTE_FILES):
            first = next((line.split("\t" if "\t" in line else None) for line in _text(file) if line.strip()), [])
            pair = len(first) == 2 and first[0].lower().endswith(IMAGE_ENDINGS)
            if pair or (len(first) == 1 and os.path.isfile(f"{path}/labels/{first[0]}.png")):
                wanted.append(file)
    return wanted


def _has_labels(folder: str) -> bool:
    return os.path.isdir(folder) and any(name.lower().endswith(".png") for name in os.listdir(folder))


def _indoor_and_outdoor(path: str) -> list[Found]:
    forms = {"nyud": ("data/images", "segmentation"), "siftflow": ("Images", "SemanticLabels")}
    for dataset, folders in forms.items():
        if all(os.path.isdir(f"{path}/{folder}") for folder in folders):
            names = [os.path.splitext(os.path.basename(f))[0] for f in sorted(glob(f"{escape(path)}/*.txt"))]
            return [Found(SEGMENTATION, dataset, path, name) for name in names]
    return []


def _shapes(path: str) -> list[Found]:
    found = []
    for file in sorted(glob(f"{escape(path)}/complete-*.json")):
        try:
            marker = json.loads("\n".join(_text(file)))
            # The count in the name: without it the set would be drawn on up to its usual size.
            image_set = f"{os.path.basename(file)[len('complete-') : -len('.json')]}{marker['count']}"
            textured = bool(marker.get("cues"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found += [] if textured else [Found(DETECTION, "shapes", path, image_set)]
        found.append(Found(SEGMENTATION, "textured_shapes" if textured else "shapes", path, image_set))
    return found


def _hint(path: str) -> str:
    """What is there, but cannot be read as it is."""
    if glob(f"{escape(path)}/**/Annotations/*.xml", recursive=True):
        return (
            " Annotations/*.xml holds boxes of PASCAL VOC: beside it images are wanted in JPEGImages/ and their names,"
            " without ending, one per line, in ImageSets/Main/train.txt."
        )
    if os.path.isdir(f"{path}/SegmentationClass") and not os.path.isdir(f"{path}/ImageSets"):
        return " It is a VOC folder without lists: write ImageSets/Main/train.txt, one image name per line."
    if _has_labels(f"{path}/labels") or glob(f"{escape(path)}/labels/*/*.png"):
        return f" labels/ is there, but {path}/classes.txt is not: write one class name per line, line 1 is label 0."
    return ""


def _first(root: str, *folders: str) -> str:
    return next((folder for folder in folders if os.path.isdir(os.path.join(root, folder))), "")


def _text(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8-sig") as content:
            return content.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
