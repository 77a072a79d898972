"""One program at a time: a lock on a file that says who holds it, and that the system releases when the holder dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import Dict, Iterator, Optional, Union

_held: Dict[str, int] = {}
"""Descriptors of the locks that this process holds: it may ask for one of them again."""


class LockedError(OSError):
    """Another program holds the lock; the text names it."""


@contextlib.contextmanager
def held(path: Union[str, Path]) -> Iterator[None]:
    """Hold the lock file `path`, which is made and afterwards removed.

    Raises LockedError: another process has it; OSError: the file cannot be made.
    """
    name = os.path.abspath(path)
    if name in _held:
        yield
        return
    descriptor = _acquire(name)
    if descriptor is None:
        yield
        return
    _held[name] = descriptor
    try:
        yield
    finally:
        del _held[name]
        with contextlib.suppress(FileNotFoundError):  # the folder may be gone
            os.unlink(name)
        os.close(descriptor)


def _acquire(name: str) -> Optional[int]:
    """The descriptor of the locked file; None where the file system has no locks."""
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                logging.getLogger(__name__).warning("%s: no locks here (%s); keep other runs away", name, error)
                return None
            raise LockedError(
                f"{name}: another run is writing here: {holder}. Wait for it, stop it, or set output_path"
            ) from None
        if _same_file(name, descriptor):
            break
        os.close(descriptor)  # whoever held it has just removed the file: it locks nothing any more
    who = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(who).encode(), 0)
    return descriptor


def _same_file(name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(name), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "its name is not in the file yet"
