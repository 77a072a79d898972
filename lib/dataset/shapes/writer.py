"""The embedded data sets: procedural pictures, written to disk once in the VOC-SDS and in the COCO layout.

`shapes` tells its classes by outline alone, `textured_shapes` by a pattern too (`lib.dataset.shapes.scene`).

    <path>/VOCshapes/{img,inst,cls,ImageSets/Main,classes.txt}        read by PascalVOC as shapes_<split>
    <path>/annotations/instances_<split>.json, <path>/images/<split>  read by coco as <split>

A picture depends on the set, seed, split and index alone, so a larger set continues a smaller one, and train and val
never share one. Every file is written under another name and moved into place; a split without its marker
file is written again.

    python -m fullconv.lib.dataset.shapes.writer --out DIR --train N --val M --seed S [--cues]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
from typing import Any

import cv2
import numpy as np
import scipy.io
from pycocotools import mask as rle

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.shapes.scene import CLASSES, HEIGHT, WIDTH, Scene, draw_scene
from fullconv.lib.mask.instance_map import instance_masks, mask_boxes

VERSION = 1  # change it when the same seed draws another picture
NAMES = ("shapes", "textured_shapes")  # without and with cues
SPLITS = ("train", "val")
DEFAULT_COUNTS = {"train": 600, "val": 100}


def split_and_count(image_set: str, limit: int | None = None, name: str = NAMES[0]) -> tuple[str, int]:
    """Split and number of images that `train`, `val`, or as in `train200` another number stand for, at most `limit`.

    Raises DatasetError, which calls the set `name`: neither.
    """
    match = re.fullmatch(r"(train|val)(\d*)", image_set)
    if match is None or match.group(2) == "0":
        raise DatasetError(
            f"{name} has no image set {image_set!r}: use train, val, or a number of images as in train200"
        )
    split = match.group(1)
    return split, min(int(match.group(2) or DEFAULT_COUNTS[split]), limit or 10**9)


def generate(path: str, split: str, count: int, seed: int | None = None, cues: bool = False) -> None:
    """Write at least `count` images of a split, unless they are there. `seed` None takes what is there,
    else 0. cues: of `textured_shapes`.

    Raises DatasetError when the folder holds the other set, OSError when the disk is full or the folder cannot
    be written.
    """
    done = _read_marker(path, split)
    if done and done.get("cues", False) != cues:
        mine, other = (NAMES[cues], NAMES[not cues])
        raise DatasetError(f"{path} holds {other}, not {mine}: choose another folder for {mine}")
    if done and done["count"] >= count and seed in (None, done["seed"]):
        return
    if seed is None:
        seed = done["seed"] if done else 0
    scenes = _SplitWriter(path, split)
    for index in range(count):
        scenes.add(f"{split}_{index:06d}", draw_scene(seed, SPLITS.index(split), index, cues=cues))
    scenes.finish({"version": VERSION, "seed": seed, "count": count, "cues": cues})


def _marker(path: str, split: str) -> str:
    return os.path.join(path, f"complete-{split}.json")


def _read_marker(path: str, split: str) -> dict[str, int] | None:
    """What the last complete generation wrote; None when nothing usable is there."""
    try:
        with open(_marker(path, split)) as file:
            marker = json.load(file)
        listed = set(os.listdir(os.path.join(path, "VOCshapes", "img")))
        whole = all(f"{split}_{index:06d}.jpg" in listed for index in range(marker["count"]))
        return marker if whole and marker["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _SplitWriter:
    """Writes the images of one split and, at the end, its lists."""

    def __init__(self, path: str, split: str) -> None:
        self.path, self.split = path, split
        self.voc = os.path.join(path, "VOCshapes")
        self.coco_images = os.path.join(path, "images", split)
        self.names: list[str] = []
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        folders = [os.path.join(self.voc, f) for f in ("img", "inst", "cls", os.path.join("ImageSets", "Main"))]
        for folder in folders + [self.coco_images, os.path.join(path, "annotations")]:
            os.makedirs(folder, exist_ok=True)

    def add(self, name: str, scene: Scene) -> None:
        """One image with its two maps and its COCO annotations."""
        jpeg = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        _write(os.path.join(self.voc, "img", name + ".jpg"), jpeg)
        _link(os.path.join(self.voc, "img", name + ".jpg"), os.path.join(self.coco_images, name + ".jpg"))
        class_map = np.concatenate([[0], scene.classes]).astype(np.uint8)[scene.instances]
        _write(os.path.join(self.voc, "inst", name + ".mat"), _mat("GTinst", scene.instances, scene.classes))
        _write(os.path.join(self.voc, "cls", name + ".mat"), _mat("GTcls", class_map, np.unique(scene.classes)))
        self._annotate(name, scene)

    def _annotate(self, name: str, scene: Scene) -> None:
        image_id = len(self.images) + 1
        self.names.append(name)
        self.images.append({"id": image_id, "file_name": name + ".jpg", "height": HEIGHT, "width": WIDTH})
        masks = instance_masks(scene.instances)
        for mask, (x1, y1, x2, y2), category in zip(masks, mask_boxes(masks).tolist(), scene.classes.tolist()):
            code = rle.encode(np.asfortranarray(mask, np.uint8))
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "iscrowd": 0,
                    "area": int(mask.sum()),
                    "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode("ascii")},
                }
            )

    def finish(self, marker: dict[str, int]) -> None:
        """The lists, and last of all the marker that makes the split complete."""
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
        coco = {"images": self.images, "annotations": self.annotations, "categories": categories}
        _write(os.path.join(self.path, "annotations", f"instances_{self.split}.json"), json.dumps(coco).encode())
        _write(os.path.join(self.voc, "classes.txt"), "".join(f"{name}\n" for name in CLASSES).encode())
        image_list = "".join(f"{name}\n" for name in self.names).encode()
        _write(os.path.join(self.voc, "ImageSets", "Main", self.split + ".txt"), image_list)
        _write(_marker(self.path, self.split), json.dumps(marker).encode())


def _mat(field: str, labels: np.ndarray, categories: np.ndarray) -> bytes:
    """A .mat file as SBD has them; the header without the date, so that equal maps give equal bytes."""
    buffer = io.BytesIO()
    value = {"Segmentation": labels, "Categories": categories.reshape(-1, 1)}
    scipy.io.savemat(buffer, {field: value}, do_compression=True)
    return b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:]


def _write(path: str, data: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def _link(source: str, target: str) -> None:
    """A second name for a file, or a copy where the file system has no links."""
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)


def main(argv: list[str] | None = None) -> None:
    """Command line: write train and val."""
    parser = argparse.ArgumentParser(description="Draw the embedded data set in the VOC-SDS and COCO layouts.")
    parser.add_argument("--out", default="./data/shapes", help="folder to write")
    parser.add_argument("--train", type=int, default=DEFAULT_COUNTS["train"], help="number of training images")
    parser.add_argument("--val", type=int, default=DEFAULT_COUNTS["val"], help="number of validation images")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other pictures")
    parser.add_argument("--cues", action="store_true", help="textured_shapes: patterns tell the class, too")
    args = parser.parse_args(argv)
    for split, count in (("train", args.train), ("val", args.val)):
        generate(args.out, split, count, args.seed, args.cues)
        marker = _read_marker(args.out, split)
        print(f"{args.out}: {split} has {marker['count'] if marker else 0} images of {', '.join(CLASSES)}")


if __name__ == "__main__":
    main()
