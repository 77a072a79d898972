"""A folder of result pictures with one self-contained page: what a person looks at after testing."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence

import cv2
import numpy as np

from fullconv.lib.evaluation.sds_mapr import crop_segment, render_segment, segment_iou
from fullconv.lib.mask.mask_cache import load_masks
from fullconv.lib.utils import atomic
from fullconv.lib.visualize.instances import draw_detections, side_by_side

FOUND_IOU = 0.5  # a detection that covers an object at least so well counts as right
JPEG_QUALITY = 90


class Picture(NamedTuple):
    """One picture of a page; `quality` in 0..1 sorts the page "worst first", None when nothing was judged."""

    name: str
    image: np.ndarray  # (h, w, 3) uint8 BGR
    caption: str
    quality: float | None = None


def write_gallery(
    folder: str | Path,
    roidb: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    all_boxes: Sequence[Sequence[np.ndarray]],
    all_masks: Sequence[Sequence[np.ndarray]],
    thresh: float = 0.7,
    binary_thresh: float = 0.4,
    read_image: Callable[[str], np.ndarray] = cv2.imread,
    title: str = "Results",
) -> Path:
    """Pictures of ground truth and detections side by side, with what was found, missed and made up.

    Args:
        folder: made if missing; `index.html` and the pictures go there.
        roidb: the first len(roidb) images of the results.
        classes: names, '__background__' first.
        all_boxes: all_boxes[class][image] (m, 5) in original pixels.
        all_masks: all_masks[class][image] (m, M, M) or (m, 1, M, M).
        thresh: least score that is shown.
        binary_thresh: least probability that belongs to a mask.
        read_image: path -> (h, w, 3) uint8 BGR.

    Returns:
        path of `index.html`.
    """

    def pictures() -> Iterator[Picture]:
        for index, entry in enumerate(roidb):
            boxes, masks, labels = collect(index, all_boxes, all_masks, thresh)
            yield _compare(read_image(entry["image"]), entry, boxes, masks, labels, classes, binary_thresh)

    note = f"detections with a score of at least {thresh:g}; right means mask IoU of at least {FOUND_IOU:g}"
    return write_page(folder, pictures(), title, note)


def collect(index: int, all_boxes, all_masks, thresh: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (m, 5), masks (m, M, M) and classes (m,) of one image above `thresh`, best first."""
    boxes, masks, labels = [np.zeros((0, 5))], [], []
    for c in range(1, len(all_boxes)):
        rows = np.asarray(all_boxes[c][index], dtype=np.float64).reshape(-1, 5)
        keep = rows[:, 4] >= thresh
        if keep.any():
            part = np.asarray(all_masks[c][index], dtype=np.float32)
            boxes.append(rows[keep])
            masks.append(part.reshape(len(rows), *part.shape[-2:])[keep])
            labels += [c] * int(keep.sum())
    boxes = np.concatenate(boxes)
    order = np.argsort(-boxes[:, 4], kind="stable")
    masks = np.concatenate(masks) if masks else np.zeros((0, 1, 1), np.float32)
    return boxes[order], masks[order], np.array(labels, dtype=np.int64)[order]


def _compare(image, entry, boxes, masks, labels, classes, binary_thresh) -> Picture:
    gt_masks = load_masks(entry)
    gt_names = [classes[c] for c in entry["gt_classes"]]
    left = draw_detections(image, entry["boxes"], gt_masks, gt_names)
    right = draw_detections(image, boxes, masks, [classes[c] for c in labels], binary_thresh=binary_thresh)
    right_ones = _count_right(boxes, masks, labels, gt_masks, entry["gt_classes"], binary_thresh)
    total = len(boxes) + len(gt_masks)
    # The harmonic mean of precision and recall: 1 when all is found and nothing made up.
    quality = 2 * right_ones / total if total else 1.0
    caption = f"{len(gt_masks)} objects, {right_ones} found, {len(boxes) - right_ones} false"
    return Picture(Path(entry["image"]).name, side_by_side(left, right), caption, quality)


def _count_right(boxes, masks, labels, gt_masks, gt_classes, binary_thresh) -> int:
    """Detections that cover an object of their class no better one took, as in the SDS protocol."""
    objects = [crop_segment(mask) for mask in gt_masks]
    used: set[int] = set()
    for box, mask, label in zip(boxes, masks, labels):
        found = render_segment(box, mask, binary_thresh)
        mine = [g for g, c in enumerate(gt_classes) if c == label and objects[g] is not None]
        overlaps = {g: segment_iou(found, objects[g]) for g in mine} if found else {}
        best = max(overlaps, key=overlaps.get, default=None)
        if best is not None and overlaps[best] >= FOUND_IOU:
            used.add(best)
    return len(used)


def write_page(folder: str | Path, pictures: Iterable[Picture], title: str, note: str = "") -> Path:
    """Write pictures as JPEG, one at a time, and `index.html`, sorted worst first; returns the page's path.

    Raises:
        OSError: a file cannot be written.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    items: list[tuple[float, str, str]] = []
    taken: set[str] = set()
    for picture in pictures:
        name = _file_name(picture.name, taken)
        _, data = cv2.imencode(".jpg", picture.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / "images" / name).write_bytes(data.tobytes())
        items.append((1.0 if picture.quality is None else picture.quality, picture.name, _figure(picture, name)))
    figures = "\n".join(figure for _, _, figure in sorted(items, key=lambda item: item[:2]))
    page = _PAGE.format(title=html.escape(title), note=html.escape(note), count=len(items), figures=figures)
    atomic.write_text(str(folder / "index.html"), page)
    return folder / "index.html"


def _file_name(name: str, taken: set[str]) -> str:
    """A safe file name not used before on this page."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem).lstrip(".") or "image"
    unique, number = stem, 1
    while unique.lower() in taken:
        number += 1
        unique = f"{stem}-{number}"
    taken.add(unique.lower())
    return f"{unique}.jpg"


def _figure(picture: Picture, file_name: str) -> str:
    name, caption = html.escape(picture.name, quote=True), html.escape(picture.caption)
    quality = 1.0 if picture.quality is None else picture.quality
    badge = "" if picture.quality is None else f'<b class="badge" style="--q:{quality:.3f}">{quality:.2f}</b>'
    height, width = picture.image.shape[:2]
    return (
        f'<figure data-name="{name}" data-quality="{quality:.6f}"><a href="images/{file_name}">'
        f'<img src="images/{file_name}" alt="{name}" width="{width}" height="{height}" loading="lazy"></a>'
        f"<figcaption><span>{name}</span>{badge}<small>{caption}</small></figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; --back: #f6f5f3; --card: #fff; --ink: #22201f; --soft: #77716c }}
@media (prefers-color-scheme: dark) {{
  :root {{ --back: #191817; --card: #242221; --ink: #eeebe8; --soft: #a09a94 }}
}}
body {{ margin: 0; padding: 2rem clamp(1rem, 4vw, 3rem); background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }}
h1 {{ margin: 0; font-size: 1.5rem }} header p {{ margin: .2rem 0 1rem; color: var(--soft) }}
button {{ font: inherit; padding: .25rem .8rem; border: 1px solid var(--soft); border-radius: 99px;
  background: none; color: inherit; cursor: pointer }}
main {{ display: grid; gap: 1.2rem; margin-top: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)) }}
figure {{ margin: 0; background: var(--card); border-radius: 10px; overflow: hidden;
  box-shadow: 0 1px 4px #0003 }}
img {{ display: block; width: 100%; height: auto }}
figcaption {{ display: flex; flex-wrap: wrap; gap: 0 .8rem; align-items: center; padding: .6rem .9rem }}
figcaption span {{ font-weight: 600; overflow-wrap: anywhere }}
small {{ color: var(--soft); flex-basis: 100% }}
.badge {{ margin-left: auto; padding: 0 .6rem; border-radius: 99px; color: #fff; font-weight: 600;
  background: hsl(calc(120 * var(--q)) 60% 36%) }}
</style></head><body>
<header><h1>{title}</h1><p>{count} pictures. {note}</p>
<button data-key="quality" data-sign="1">worst first</button>
<button data-key="quality" data-sign="-1">best first</button>
<button data-key="name" data-sign="1">by name</button></header>
<main>
{figures}
</main>
<script>
for (const button of document.querySelectorAll("button")) button.onclick = () => {{
  const main = document.querySelector("main"), {{key, sign}} = button.dataset;
  main.append(...[...main.children].sort((a, b) =>
    sign * a.dataset[key].localeCompare(b.dataset[key], undefined, {{numeric: true}})));
}};
</script></body></html>
"""
