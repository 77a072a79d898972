r"""Names of files as other machines wrote them: `C:\data\img\1.jpg`, `images\1.jpg`, `/home/ann/img/1.jpg`."""

from __future__ import annotations

import os
import re
from typing import Sequence

from fullconv.lib.dataset.errors import DatasetError


def portable(name: str) -> str:
    """The name with `/` between folders and without a drive letter."""
    return re.sub(r"^[A-Za-z]:(?=/)", "", name.replace("\\", "/"))


def is_foreign(name: str) -> bool:
    """Whether a portable name begins in a folder of another machine, or is an address."""
    return name.startswith("/") or "://" in name


def find_by_end(name: str, folders: Sequence[str]) -> str | None:
    """The file below `folders` that a foreign name ends with, by the longest end that any of them has; None: no file.

    Raises DatasetError: several files of that end.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        tried = [os.path.join(folder, *parts[start:]) for folder in folders]
        found = {os.path.realpath(path): path for path in tried if os.path.isfile(path)}
        if len(found) > 1:
            raise DatasetError(f"{name} may be any of {', '.join(sorted(found.values()))}: write the right one instead")
        if found:
            return next(iter(found.values()))
    return None
