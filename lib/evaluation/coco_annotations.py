"""COCO annotation files made fit for pycocotools, which trusts its input: it needs `area` and `iscrowd`, takes
four numbers for a box, and an annotation with id 0 silently loses its match.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any, Sequence

import numpy as np
from pycocotools import mask as rle_api
from pycocotools.coco import COCO

from fullconv.lib.dataset.detection.coco_format import find_problems, in_order, read_json, with_box
from fullconv.lib.evaluation.sanity import EvaluationError, check_categories, check_image_ids

logger = logging.getLogger(__name__)


def load_ground_truth(
    annotation_file: str,
    image_ids: Sequence[Any],
    image_sizes: Sequence[tuple[int, int]],
    category_ids: Sequence[Any],
    classes: Sequence[str],
    masks: bool = True,
) -> COCO | None:
    """The annotations of these images and categories as a pycocotools object, or None for a test set.

    `area` and `iscrowd` are filled in where the file has none, and ids are numbered anew from 1, those of images and
    categories by `numbers`.

    Args:
        annotation_file: COCO json; a test set has no "annotations".
        image_ids: images to evaluate.
        image_sizes: (height, width) of each of them, as the results were made for.
        category_ids: category_ids[k - 1] is the category of classes[k].
        classes: names, background first.
        masks: False takes boxes alone, from a file that need not have `segmentation`.

    Raises:
        EvaluationError: foreign image or category ids, other image sizes, damaged annotations.
        DatasetError: no such file, or not a COCO file.
    """
    data = read_json(annotation_file)
    images = {image.get("id"): image for image in data["images"]}
    check_image_ids(image_ids, images, annotation_file)
    check_categories(category_ids, classes, data["categories"], annotation_file)
    chosen = [images[i] for i in image_ids]
    for image, size in zip(chosen, image_sizes):
        _check_size(image, (int(size[0]), int(size[1])), annotation_file)
    # After the checks: a list of images for a submission should be the right one, too.
    if not data["annotations"]:
        return None
    wanted, categories = set(image_ids), set(category_ids)
    annotations = [a for a in data["annotations"] if a.get("image_id") in wanted and a.get("category_id") in categories]
    part = {"images": chosen, "categories": data["categories"], "annotations": annotations}
    problems = [str(problem) for problem in find_problems(part, masks) if problem.fatal]
    if problems:
        raise EvaluationError(f"{annotation_file}: {'; '.join(problems[:5])} ({len(problems)} in all)")
    complete = _with_mask if masks else _with_box
    boxed = [with_box(a, _size(images[a["image_id"]])) for a in annotations]
    completed = [complete(a, images[a["image_id"]]) for a in boxed]
    # From 1: pycocotools marks what is not matched with 0.
    completed = [{**a, "id": number, "iscrowd": int(a.get("iscrowd", 0))} for number, a in enumerate(completed, 1)]
    image_numbers, category_numbers = numbers(image_ids), numbers(category_ids)
    return as_coco(
        [{**image, "id": image_numbers[image["id"]]} for image in chosen],
        [{"id": category_numbers[key], "name": name} for key, name in zip(category_ids, classes[1:])],
        [
            {**a, "image_id": image_numbers[a["image_id"]], "category_id": category_numbers[a["category_id"]]}
            for a in completed
        ],
    )


def numbers(ids: Sequence[Any]) -> dict[Any, int]:
    """Id -> its place among them, from 1, in the order of the file's classes.

    pycocotools sorts ids with numpy, which orders text otherwise and gives back keys of its own kind.
    """
    return {key: number for number, key in enumerate(in_order(ids), 1)}


def as_coco(images: list[dict[str, Any]], categories: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> COCO:
    """A pycocotools object from lists, without its printing."""
    coco = COCO()
    coco.dataset = {"info": {}, "images": images, "categories": categories, "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _size(image: dict[str, Any]) -> tuple[int, int]:
    return image["height"], image["width"]


def _check_size(image: dict[str, Any], size: tuple[int, int], annotation_file: str) -> None:
    stated = image.get("height"), image.get("width")
    if stated != size:
        raise EvaluationError(
            f"image {image['id']} is {size} (height, width) in the results but {stated} in {annotation_file}: "
            "masks of other sizes never match. Was the image resized or rotated?"
        )


def _with_box(annotation: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """A copy with an area and without a segmentation, which nobody has checked and which boxes do not need."""
    width, height = annotation["bbox"][2:]
    # Where the file has an area it stands behind ours, and wins.
    kept = {key: value for key, value in annotation.items() if key != "segmentation"}
    return {"area": float(width * height), **kept}


def _with_mask(annotation: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """A copy with an area and a segmentation that pycocotools can take without harm."""
    height, width = image["height"], image["width"]
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        # Four numbers are a box to pycocotools, and two points cover nothing.
        segmentation = [polygon for polygon in segmentation if len(polygon) >= 6]
        reach = max(float(np.abs(polygon).max()) for polygon in segmentation)
        # pycocotools walks along every outline pixel by pixel, so a point far away would fill the memory.
        if reach > 10 * max(height, width):
            raise EvaluationError(f"annotation {annotation['id']}: a polygon reaches {reach:g} pixels: correct it")
        rle = rle_api.merge(rle_api.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = rle_api.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    return {"area": float(rle_api.area(rle)), **annotation, "segmentation": segmentation}
