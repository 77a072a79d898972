"""Detections of a whole test set on disk: plain arrays, written atomically, with a key that says what made them."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

Results = List[List[np.ndarray]]


def save_detections(path: Path, key: Dict, all_boxes: Results, all_masks: Results) -> None:
    """Write all_boxes[class][image] (m,5) and all_masks[class][image] (m,M,M) under `key` (json-like).

    OSError when the folder cannot be written; an older file at `path` then stays as it was.
    """
    counts = np.array([[len(boxes) for boxes in row] for row in all_boxes], dtype=np.int64)
    size = next((masks.shape[1:] for row in all_masks for masks in row), (0, 0))
    arrays = {
        "key": np.array(json.dumps(key, sort_keys=True)),
        "counts": counts,
        "boxes": np.concatenate([np.zeros((0, 5))] + [b for row in all_boxes for b in row]),
        "masks": np.concatenate([np.zeros((0,) + size, np.float32)] + [m for row in all_masks for m in row]),
    }
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_detections(path: Path, key: Dict) -> Optional[Tuple[Results, Results]]:
    """What `save_detections` wrote, or None if there is no such file, it is damaged, or its key is another one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != json.dumps(key, sort_keys=True):
                return None
            return _split(file["boxes"], file["counts"]), _split(file["masks"], file["counts"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _split(rows: np.ndarray, counts: np.ndarray) -> Results:
    pieces = np.split(rows, np.cumsum(counts.reshape(-1))[:-1])
    images = counts.shape[1]
    return [pieces[start : start + images] for start in range(0, len(pieces), images)]
