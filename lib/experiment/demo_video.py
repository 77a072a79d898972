"""A film or a camera through a demo's model, frame by frame, into a film: `--video FILE` or `--video 0`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from fullconv.lib.dataset.image_files import UsageError

WRITERS = (("mp4v", ".mp4"), ("MJPG", ".avi"))
"""Codecs and their files, in the order in which they are tried: OpenCV's wheels have no H.264 encoder."""
USUAL_RATE = 25.0
"""Frames a second of a film that does not say, as most cameras."""
LINE_EVERY = 50
"""Frames between two lines of text."""

Frame = Callable[[np.ndarray, str], Tuple[str, np.ndarray]]
"""(BGR frame (h, w, 3) uint8, its name) -> what is in it in words, and a picture of the same size."""


class Film(NamedTuple):
    """What `--video` names. name: for the files made of it. frames: how many there are; None of a camera."""

    capture: cv2.VideoCapture
    name: str
    rate: float
    frames: Optional[int]

    def read(self, limit: int = 0) -> Iterator[np.ndarray]:
        """Frames (h, w, 3) uint8 BGR, at most `limit` of them (0: all)."""
        done = 0
        while not limit or done < limit:
            there, frame = self.capture.read()
            if not there:
                return
            yield frame
            done += 1


def open_film(source: str) -> Film:
    """A video file, or the camera of that number. Raises UsageError: neither is there, or OpenCV cannot read it."""
    number = int(source) if source.isdigit() and not Path(source).exists() else None
    if number is None and not Path(source).is_file():
        raise UsageError(f"--video {source}: no such file; name a video file, or the number of a camera (0)")
    capture = cv2.VideoCapture(source if number is None else number)
    if not capture.isOpened():
        what = "OpenCV cannot read it; convert it to .mp4 or .avi" if number is None else "there is no such camera"
        raise UsageError(f"--video {source}: {what}")
    rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    rate = rate if math.isfinite(rate) and 1 <= rate <= 1000 else USUAL_RATE
    name = Path(source).stem if number is None else f"camera{number}"
    return Film(capture, name, rate, int(count) if number is None and count > 0 else None)


class FilmWriter:
    """Writes frames of one size to `<folder>/<name>.mp4`, or .avi where OpenCV has no encoder for that."""

    def __init__(self, folder: Path, name: str, rate: float) -> None:
        self.stem, self.rate = folder / name, rate
        self.path: Optional[Path] = None
        self.size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture (h, w, 3) uint8 BGR; one of another size than the first is resized to it.

        Raises OSError: the file cannot be written.
        """
        if self.path is None:
            self.size = picture.shape[1], picture.shape[0]
            self.path, self.writer = self._open()
        if (picture.shape[1], picture.shape[0]) != self.size:
            picture = cv2.resize(picture, self.size)
        self.writer.write(picture)

    def _open(self) -> Tuple[Path, cv2.VideoWriter]:
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        for codec, ending in WRITERS:
            path = Path(f"{self.stem}{ending}")
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), self.rate, self.size)
            if writer.isOpened():
                return path, writer
        raise OSError(f"{self.stem}: cannot be written as {' or '.join(ending for _, ending in WRITERS)}")

    def close(self) -> None:
        """Finish the file, without which players refuse it."""
        if self.path is not None:
            self.writer.release()


def run_film(source: str, limit: int, out: Path, draw: Frame, progress: Callable, say: Callable[[str], None]) -> int:
    """Put every frame through `draw` and write the pictures to a film in `out`; returns how many there were.

    limit: at most so many frames, 0 for all. progress(iterable, total) passes an iterable on and shows where it is.
    A camera is read until it is interrupted (Ctrl-C), which ends the film like any other.

    Raises UsageError: see `open_film`, or a film without a frame. OSError: `out` cannot be written.
    """
    film = open_film(source)
    writer, seconds = FilmWriter(out, film.name, film.rate), _Seconds()
    total = min(limit or film.frames, film.frames) if film.frames else limit or None
    try:
        for number, frame in enumerate(progress(film.read(limit), total), start=1):
            started = time.perf_counter()
            words, picture = draw(frame, f"{film.name}-{number:06d}")
            seconds.append(time.perf_counter() - started)
            writer.write(picture)
            if number % LINE_EVERY == 1:
                say(f"frame {number}: {words} ({seconds[-1]:.2f} s)")
    except KeyboardInterrupt:
        if film.frames is not None or not seconds:
            raise
        say(f"camera {source} stopped")
    finally:
        writer.close()
        film.capture.release()
    if not seconds:
        raise UsageError(f"--video {source}: it has no frame that OpenCV can read")
    say(f"{seconds.usual():.2f} s per frame over {len(seconds)}; film: {writer.path}")
    return len(seconds)


class _Seconds(List[float]):
    def usual(self) -> float:
        """The mean without the first, which also pays for memory and for choosing convolution algorithms."""
        return float(np.mean(self[1:] or self))
