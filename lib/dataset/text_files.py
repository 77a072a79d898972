"""Text files that people wrote: with or without a byte order mark, as Windows editors leave one."""

from __future__ import annotations

import codecs
import os

from fullconv.lib.dataset.errors import DatasetError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: str, what: str) -> str:
    """The text of a UTF-8 file without its mark. `what` names its kind in messages.

    Raises DatasetError: no such file, or another encoding.
    """
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: no such {what}: check dataset_path and image_set")
    with open(path, "rb") as file:
        data = file.read()
    # Without a mark UTF-16 shows by its zero bytes, of which text in UTF-8 has none.
    if data.startswith(_WIDE) or b"\0" in data[:4]:
        raise DatasetError(f"{path}: the {what} is UTF-16 text, not UTF-8 text: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: the {what} is not UTF-8 text ({error}): save it as UTF-8") from error


def read_lines(path: str, what: str) -> list[str]:
    """The lines of a text file, blank ones and spaces around them left out. Raises DatasetError as `read_text`."""
    return [line.strip() for line in read_text(path, what).splitlines() if line.strip()]
