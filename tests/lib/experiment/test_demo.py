"""What demos of all methods do with what a person points at: folders in folders, films, equal names, nothing found."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.image_files import UsageError, distinct_names, find_images
from fullconv.lib.experiment import demo, demo_video
from fullconv.lib.structures.detections import Detections
from fullconv.lib.visualize.page import Picture

GREY = np.full((48, 64, 3), 128, np.uint8)


class Inverting(demo.Demo):
    """Turns pictures into their negatives."""

    title = "negatives"
    default_model = "net.params"

    def load(self, paths):
        self.seen = []

    def results(self, image, path):
        self.seen.append(self.name(path))
        return "inverted", [Picture(self.name(path), 255 - image, "inverted")]

    def write(self):
        yield f"{len(self.seen)} seen"


@pytest.fixture
def folder(tmp_path):
    """A model, and pictures of the same name in folders inside of folders."""
    (tmp_path / "net.params").write_bytes(b"")
    for name in ("in/photo.jpg", "in/a/photo.jpg", "in/b/c/photo.jpg", "in/b/other.png", "in/.trash/gone.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), GREY)
    return tmp_path


def write_film(path, frames=7, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 12, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return str(path)


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        there, frame = capture.read()
        if not there:
            return found, capture.get(cv2.CAP_PROP_FPS)
        found.append(frame)


def run(folder, *words, out="out"):
    shown = Inverting()
    code = demo.run(shown, "", [*words, "--model", str(folder / "net.params"), "--out", str(folder / out)])
    return code, shown


# ------------------------------------------------------------------------------------------------- images


def test_folders_inside_of_folders_on_request(folder, capsys):
    code, shown = run(folder, str(folder / "in"))
    assert code == 0 and shown.seen == ["photo.jpg"]
    code, shown = run(folder, str(folder / "in"), "--recursive")
    assert code == 0 and shown.seen == ["in/photo.jpg", "a/photo.jpg", "other.png", "c/photo.jpg"]
    files = {path.name for path in (folder / "out" / "images").iterdir()}
    assert files == {"photo.jpg", "in_photo.jpg", "a_photo.jpg", "other.jpg", "c_photo.jpg"}
    assert "4 seen" in capsys.readouterr().out


def test_results_are_not_taken_for_pictures(folder):
    run(folder, str(folder / "in"), out="in/results")
    assert run(folder, str(folder / "in"), "--recursive", out="in/results")[1].seen == [
        "in/photo.jpg",
        "a/photo.jpg",
        "other.png",
        "c/photo.jpg",
    ]


def test_a_picture_named_twice_is_shown_once(folder):
    name = str(folder / "in" / "photo.jpg")
    assert [path.name for path in find_images([name, str(folder / "in"), name])] == ["photo.jpg"]


def test_nothing_there_says_how_to_look_deeper(folder):
    (folder / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(UsageError, match="--recursive looks into folders inside of folders"):
        find_images([str(folder / "empty")])
    with pytest.raises(UsageError, match=r"\.webp$"):
        find_images([str(folder / "empty")], recursive=True)


def test_names_have_as_many_folders_as_it_takes():
    paths = [Path(p) for p in ("/x/1/a/p.jpg", "/x/2/a/p.jpg", "/x/2/b/P.jpg", "/x/2/q.jpg", "p.jpg")]
    assert list(distinct_names(paths).values()) == ["1/a/p.jpg", "2/a/p.jpg", "b/P.jpg", "q.jpg", "p.jpg"]


def test_a_bar_on_a_terminal_only(folder, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, bar in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        run(folder, str(folder / "in"))
        assert ("| 0/1" in stream.getvalue()) == bar


# --------------------------------------------------------------------------------------------------- films


def test_a_film_becomes_a_film(folder, capsys):
    path = write_film(folder / "walk.avi")
    code, shown = run(folder, "--video", path)
    assert code == 0 and shown.seen == [f"walk-{n:06d}" for n in range(1, 8)]
    found, rate = frames_of(folder / "out" / "walk.mp4")
    assert len(found) == 7 and found[0].shape == GREY.shape and rate == pytest.approx(12)
    for number, frame in enumerate(found):
        assert abs(float(frame.mean()) - (255 - 20 * number)) < 6
    text = capsys.readouterr().out
    assert "frame 1: inverted" in text and "s per frame over 7; film: " in text and "7 seen" in text


def test_only_the_first_frames(folder):
    code, shown = run(folder, "--video", write_film(folder / "walk.avi"), "--frames", "3")
    assert code == 0 and len(shown.seen) == len(frames_of(folder / "out" / "walk.mp4")[0]) == 3


def test_without_that_encoder_it_is_an_avi(folder, monkeypatch):
    monkeypatch.setattr(demo_video, "WRITERS", (("avc1", ".mp4"), ("MJPG", ".avi")))
    assert run(folder, "--video", write_film(folder / "walk.avi"))[0] == 0
    assert len(frames_of(folder / "out" / "walk.avi")[0]) == 7


def test_pictures_of_another_size_are_resized(tmp_path):
    writer = demo_video.FilmWriter(tmp_path / "new", "film", 10)
    for shape in ((48, 64, 3), (20, 20, 3)):
        writer.write(np.zeros(shape, np.uint8))
    writer.close()
    assert [frame.shape for frame in frames_of(writer.path)[0]] == [(48, 64, 3)] * 2


class Camera:
    """Frames until Ctrl-C."""

    def __init__(self, frames):
        self.left, self.released = frames, False

    def isOpened(self):  # noqa: N802 (OpenCV's name)
        return True

    def get(self, _):
        return -1.0

    def read(self):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return True, GREY

    def release(self):
        self.released = True


def test_a_camera_is_stopped_by_hand_and_leaves_a_whole_film(folder, monkeypatch, capsys):
    camera = Camera(4)
    monkeypatch.setattr(demo_video.cv2, "VideoCapture", lambda source: camera if source == 0 else None)
    code, shown = run(folder, "--video", "0")
    monkeypatch.undo()
    assert code == 0 and len(shown.seen) == 4 and camera.released
    assert "camera 0 stopped" in capsys.readouterr().out
    found, rate = frames_of(folder / "out" / "camera0.mp4")
    assert len(found) == 4 and rate == pytest.approx(demo_video.USUAL_RATE)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--video", "absent.mp4"], "absent.mp4: no such file; name a video file, or the number of a camera"),
        (["--video", "{folder}/net.params"], "OpenCV cannot read it; convert it to"),
        (["--video", "57"], "there is no such camera"),
        (["{folder}/in", "--video", "film.avi"], "give images or a film, not both"),
    ],
)
def test_what_is_no_film_is_one_message(folder, capsys, words, message):
    assert run(folder, *[word.format(folder=folder) for word in words])[0] == 2
    error = capsys.readouterr().err
    assert "demo: --video" in error and message in error
    assert not (folder / "out").exists()


# ------------------------------------------------------------------------------------------- nothing found


@pytest.mark.parametrize(
    "scores, thresh, words",
    [
        ([0.9, 0.8, 0.95], 0.7, "1 dog, 2 cat"),
        ([0.42, 0.1, 0.3], 0.7, "nothing with a score of at least 0.7; the best is cat with 0.42: --thresh 0.4 shows"),
        ([0.0012, 0, 0], 0.05, "the best is cat with 0.0012: --thresh 0.001 shows it"),
        ([], 0.7, "nothing with a score of at least 0.7, nor with any"),
    ],
)
def test_nothing_found_says_what_to_try(scores, thresh, words):
    labels = [1, 1, 2][: len(scores)]
    found = Detections(np.zeros((len(scores), 4)), np.array(scores), np.array(labels, int))
    told = demo.found_or_best(found, thresh, ["__background__", "cat", "dog"])
    assert words in told
    if "--thresh" in told:
        assert len(found.above(float(told.split("--thresh ")[1].split()[0]))) >= 1
