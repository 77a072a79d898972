"""Files that are whole or absent: written aside, flushed to disk, renamed, with a checksum beside them.

The checksum stands in `<file>.sha256` as `sha256sum` writes it, so `sha256sum -c` checks it too. While a file
is replaced its checksum file holds two lines, old and new, so whichever a kill leaves is valid. A last line that begins
with `#`, which `sha256sum` passes over, is the writer's note.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Iterator, List, Mapping, Protocol

import numpy as np


class Writable(Protocol):
    """What a filler gets of a file."""

    def write(self, data: Any) -> int:
        """Append bytes."""
        ...


class _HashingFile:
    """A writable file that knows the sha256 of what went through it."""

    def __init__(self, file: Writable) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)


def write(path: str, fill: Callable[[Writable], Any], checksum: bool = False, note: str = "") -> str:
    """Let `fill(file)` write the new content of `path`, and return its sha256 in hex.

    Whatever goes wrong before the rename leaves the old content in place and nothing else behind. note: a line of the
    checksum file that says where the content comes from.

    Raises:
        OSError: the disk is full or the folder cannot be written; it names `path`.
    """
    with _replacing(path) as file:
        hashing = _HashingFile(file)
        fill(hashing)
        # Whole on the disk before a digest says so: a full disk shows only here.
        file.flush()
        os.fsync(file.fileno())
        digest = hashing.digest.hexdigest()
        if checksum:
            _write_digests(path, [*_digests_before(path), digest], note)
    if checksum:
        _write_digests(path, [digest], note)
    return digest


def write_text(path: str, text: str) -> str:
    """Replace `path` by `text` in UTF-8; see `write`."""
    return write(path, lambda file: file.write(text.encode()))


def write_npz(path: str, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Replace `path` by a numpy archive. It has no checksum: archives are written with seeking back, which a checksum
    taken on the way cannot follow, but they have their own.

    Raises OSError as `write`.
    """
    with _replacing(path) as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)


@contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    """A new file that is flushed to disk and takes the place of `path` when the block ends well, or vanishes."""
    # A name of its own: two programs that write one file must not write into each other's.
    temporary = f"{path}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno:  # a failed write does not say of what
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _sync_folder(path)


def digests(path: str) -> List[str]:
    """Checksums recorded for `path`: none, one, or two around an interrupted replacement.

    Raises:
        ValueError: the checksum file holds something else.
    """
    try:
        with open(f"{path}.sha256", encoding="ascii") as file:
            words = [line.split()[0] for line in file if line.strip() and not line.startswith("#")]
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        words = []
    if not words or any(len(word) != 64 for word in words):
        raise ValueError(f"{path}.sha256 is damaged; delete it to use {os.path.basename(path)} unchecked")
    return words


def note_of(path: str) -> str:
    """The note in the checksum file of `path`; "" where there is none."""
    try:
        with open(f"{path}.sha256", encoding="ascii", errors="replace") as file:
            return next((line[1:].strip() for line in file if line.startswith("#")), "")
    except FileNotFoundError:
        return ""


def sha256(path: str) -> str:
    """Checksum of a file's content in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _digests_before(path: str) -> List[str]:
    """Of the content that is about to be replaced; a damaged checksum file has nothing to say about it any more."""
    try:
        return digests(path)
    except ValueError:
        return []


def _write_digests(path: str, values: List[str], note: str) -> None:
    name = os.path.basename(path)
    lines = [f"{value}  {name}\n" for value in dict.fromkeys(values)]
    write_text(f"{path}.sha256", "".join(lines) + (f"# {note}\n" if note else ""))


def _sync_folder(path: str) -> None:
    """Make the rename itself durable; where folders cannot be opened there is nothing to do."""
    try:
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
