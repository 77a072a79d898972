"""Instance masks of one image on disk: a hickle file per image, an in-memory store in front of it.

The file name is a digest of what the masks are made from, so an edited annotation never meets an old cache.
A cache file is only a copy: missing or damaged ones are rebuilt from their source. Files hold one bool array
(n, h, w); they are read with h5py, so the type names that hickle stores beside it are never unpickled.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import h5py
import hickle
import numpy as np

from fullconv.lib.structures.entry import Masks

VERSION = b"2"  # change it when the meaning of a cache file changes
MEMORY_BYTES = 256 * 2**20

_hickle_lock = threading.Lock()  # hickle's type tables are not made for threads


class MaskCacheError(ValueError):
    """A mask cache file that is missing or is not one bool array, or masks that do not fit their image."""


class MaskStore:
    """Recently used masks, one bit per pixel, at most `capacity` bytes; safe to share between threads.

    A data set has one for all its images, so that what it holds goes when the data set goes.
    """

    def __init__(self, capacity: int = MEMORY_BYTES) -> None:
        self.capacity, self.size = capacity, 0
        self._items: OrderedDict[str, tuple[np.ndarray, tuple[int, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> np.ndarray | None:
        """A fresh copy of the masks put under `key`, or None."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            bits, shape = self._items[key]
        # `count`, because packing fills the last byte up. Bytes of 0 and 1 are bool already, so a view is enough.
        return np.unpackbits(bits, count=int(np.prod(shape))).view(bool).reshape(shape)

    def put(self, key: str, masks: np.ndarray) -> None:
        """Remember bool masks of any shape; the least recently used ones make room."""
        bits = np.packbits(masks.ravel())
        with self._lock:
            # Taken out first, so that masks put twice are counted once.
            self._drop(key)
            if bits.nbytes > self.capacity:
                return
            self._items[key] = (bits, masks.shape)
            self.size += bits.nbytes
            while self.size > self.capacity:
                self._drop(next(iter(self._items)))

    def _drop(self, key: str) -> None:
        if key in self._items:
            self.size -= self._items.pop(key)[0].nbytes


def cache_path(folder: str, *content: bytes | str) -> str:
    """Path of the cache file for masks made from `content` (file bytes, sizes, annotation text, ...)."""
    digest = hashlib.sha256(VERSION)
    for part in content:
        data = part.encode() if isinstance(part, str) else part
        # With the length in front, ("ab", "c") and ("a", "bc") differ.
        digest.update(len(data).to_bytes(8, "little") + data)
    # 160 bits: as many as git tells contents apart by.
    return os.path.join(folder, digest.hexdigest()[:40] + ".hkl")


@dataclass(frozen=True, eq=False)
class CachedMasks:
    """Masks of one image that are made once: kept in `store`, else read from the file `path`, else made by `source`.

    shape: (n, height, width) that they must have.
    """

    source: Masks
    path: str
    shape: tuple[int, int, int]
    store: MaskStore

    def load(self) -> np.ndarray:
        """(n, h, w) bool, a copy of the caller's own.

        Warns of a damaged file, which is written again, and of one that cannot be written. Raises MaskCacheError: the
        masks made from the annotations are not of `shape`.
        """
        if not self.shape[0]:
            return np.zeros(self.shape, bool)
        masks = self.store.get(self.path)
        if masks is None or masks.shape != self.shape:
            masks = self._read_or_build()
            self.store.put(self.path, masks)
        return masks

    def _read_or_build(self) -> np.ndarray:
        if os.path.lexists(self.path):
            try:
                return read_masks(self.path, self.shape)
            except MaskCacheError as error:
                warnings.warn(f"{error}: rebuilding it from the annotations", stacklevel=3)
        masks = self.source.load()
        if masks.shape != self.shape:
            raise MaskCacheError(
                f"the annotations give masks of shape {masks.shape}, the entry of {self.path} needs {self.shape}"
            )
        masks = masks.astype(bool, copy=False)
        try:
            write_masks(self.path, masks)
        except OSError as error:
            warnings.warn(
                f"mask cache {self.path} cannot be written ({error}): free space or change root_path", stacklevel=3
            )
        return masks


def read_masks(path: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The bool array of a cache file; MaskCacheError names a file that is damaged, not of `shape`, or holds no array
    itself: HDF5 can point to other files, and so can a link, but a cache has no reason to."""
    try:
        if os.path.islink(path):
            raise ValueError("it is a link")
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("data", getlink=True), h5py.HardLink):
                raise ValueError("its data are a link")
            data = file["data"]
            if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
                raise ValueError("its data are in another file")
            if data.dtype != np.bool_ or data.ndim != 3 or (shape is not None and data.shape != shape):
                raise ValueError(f"it holds {data.dtype} {data.shape}, wanted bool {shape or '(n, h, w)'}")
            return data[()]
    except Exception as error:  # h5py raises many kinds on damaged files
        raise MaskCacheError(f"mask cache {path} is unusable ({error}): delete it") from error


def write_masks(path: str, masks: np.ndarray) -> None:
    """Write a (n, h, w) bool array; a reader sees the old file or the whole new one. OSError: disk full."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Of this thread alone: several may make the masks of one image at once, and the last one's file stays.
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        with _hickle_lock:
            # gzip keeps a checksum, and level 1 reads as fast as any level at a fifth of the writing time
            hickle.dump(masks, temporary, mode="w", compression="gzip", compression_opts=1)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
