"""A folder of result pictures with one self-contained page: what a person looks at after testing."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Iterable, NamedTuple

import cv2
import numpy as np

from fullconv.lib.utils import atomic

JPEG_QUALITY = 90


class Picture(NamedTuple):
    """One picture of a page; `quality` in 0..1 sorts the page "worst first", None when nothing was judged."""

    name: str
    image: np.ndarray  # (h, w, 3) uint8 BGR
    caption: str
    quality: float | None = None


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
        # Not cv2.imwrite, which answers False where a disk is full: this raises.
        (folder / "images" / name).write_bytes(data.tobytes())
        items.append((1.0 if picture.quality is None else picture.quality, picture.name, _figure(picture, name)))
    # By name where the quality is the same, so that two runs give the same page.
    figures = "\n".join(figure for _, _, figure in sorted(items, key=lambda item: item[:2]))
    page = _PAGE.format(title=html.escape(title), note=html.escape(note), count=len(items), figures=figures)
    atomic.write_text(str(folder / "index.html"), page)
    return folder / "index.html"


def _file_name(name: str, taken: set[str]) -> str:
    """A safe file name not used before on this page."""
    # A name from a data set may hold slashes, spaces or quotes; a dot in front would hide the file.
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", os.path.splitext(name)[0]).lstrip(".") or "image"
    unique, number = stem, 1
    # Some file systems take a.jpg and A.jpg for one file.
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
