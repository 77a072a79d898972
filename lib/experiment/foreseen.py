"""Errors that a person can mend: programs end with their text instead of a traceback."""

from __future__ import annotations

import errno

from fullconv.lib.core.prefetch import LoaderError

FORESEEN = (ValueError, OSError, ImportError, LoaderError)
"""Errors whose text says what is wrong with files, options or data; anything else is a defect, with its traceback."""


def explain(error: BaseException) -> str:
    """The text of a foreseen error; what the system refuses gets the remedy that its text lacks."""
    text = str(error)
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
        text += "; free space, check permissions, or write to another folder"
    return text
