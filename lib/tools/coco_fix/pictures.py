"""Which file an image record means, and the name under which the reader finds it."""

from __future__ import annotations

import os
import re
from collections import defaultdict

from fullconv.lib.dataset.detection.coco_files import ImageFinder
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image_files import SUFFIXES
from fullconv.lib.tools.data_forms import Found

_DRIVE = re.compile(r"^[A-Za-z]:")


class Pictures:
    """The pictures below the folder of a COCO json.

    source: the json that names them. target: the json to be written, from whose folder the reader will look.
    """

    def __init__(self, source: Found, target: Found) -> None:
        self.source, self.target = source, target
        self.beside = os.path.dirname(source.file)
        self._old, self._new = (ImageFinder(found.path, found.image_set) for found in (source, target))
        self._index: dict[str, list[str]] | None = None

    def find(self, name: str, image_id: int | str) -> list[str]:
        """Files that `name` may mean: one where it is clear, none, or several between which nothing decides.

        First where the reader looks, then beside the json; of a folder that is not there the end counts. Only then any
        file of that name below the folder, whatever the case of its letters.
        """
        for tail in _tails(name):
            path = _look(self._old, tail, image_id) or os.path.join(self.beside, tail)
            if os.path.isfile(path):
                return [path]
        parts = [part.lower() for part in _parts(name)]
        known = self._by_name().get(parts[-1] if parts else "", [])
        scores = [_common_end(parts, _parts(os.path.relpath(path, self.source.path).lower())) for path in known]
        return [path for path, score in zip(known, scores) if score == max(scores)]

    def name_of(self, path: str, name: str, image_id: int | str) -> str | None:
        """A file_name under which the reader finds `path` from the target; None: it lies outside the target's folder.

        As close as possible to the `name` that the record has.
        """
        inside = os.path.relpath(os.path.realpath(path), os.path.realpath(self.target.path)).replace(os.sep, "/")
        for candidate in [*_tails(name), os.path.basename(path), inside]:
            # Readers of other programs take a backslash for a letter, as Linux does.
            if not _leaves(candidate) and ("\\" in candidate) <= ("\\" in os.path.basename(path)):
                found = _look(self._new, candidate, image_id)
                if found and os.path.samefile(found, path):
                    return candidate
        return None

    def _by_name(self) -> dict[str, list[str]]:
        if self._index is None:
            self._index = defaultdict(list)
            for folder, _, files in sorted(os.walk(self.source.path)):
                for file in sorted(files):
                    if os.path.splitext(file)[1].lower() in SUFFIXES:
                        self._index[file.lower()].append(os.path.join(folder, file))
        return self._index


def name_trouble(name: str, new: str) -> str:
    """What was wrong with a file_name, as a kind of change."""
    if _DRIVE.match(name):
        return "file_name with a drive letter: the end of it that is there"
    if name.startswith(("/", "\\")):
        return "file_name with an absolute folder: the end of it that is there"
    if "\\" in name and name.replace("\\", "/") == new:
        return "file_name with backslashes: slashes"
    if name.lower() == new.lower():
        return "file_name in other capitals than the file: the file's"
    if new.endswith(f"/{name}"):
        return "file_name without the folder that the place of the new json needs: with it"
    return "file_name with a folder that is not there: the file's place"


def _look(finder: ImageFinder, name: str, image_id: int | str) -> str:
    """Where the reader finds `name`, or ""."""
    if _leaves(name):
        return ""
    try:
        return finder.find({"file_name": name, "id": image_id})
    except DatasetError:
        return ""


def _leaves(name: str) -> bool:
    return os.path.isabs(name) or bool(_DRIVE.match(name)) or ".." in name.replace("\\", "/").split("/")


def _parts(name: str) -> list[str]:
    return [part for part in _DRIVE.sub("", name).replace("\\", "/").split("/") if part not in ("", ".")]


def _tails(name: str) -> list[str]:
    """The name itself, then what is left of it without its first folder, and so on, all with slashes."""
    parts = _parts(name)
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    return [tail for tail in dict.fromkeys([name, *tails]) if not _leaves(tail)]


def _common_end(a: list[str], b: list[str]) -> int:
    """How many folders and names two paths share, from the end."""
    count = 0
    for x, y in zip(reversed(a), reversed(b)):
        if x != y:
            break
        count += 1
    return count
