"""The comparison of proposal files: its table, picture and numbers, and its complaints."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fullconv.lib.evaluation.proposal_files import Segments, write_proposals
from fullconv.lib.mask.encode import encode_mask
from fullconv.lib.tools.compare_proposals import main, named_files


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """Three images with an object each; `good.json` finds all of them, `bad.json` the first one and half of another."""
    masks = np.zeros((3, 20, 30), bool)
    masks[:, 2:12, 4:14] = True
    codes = [encode_mask(mask) for mask in masks]
    data = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 20, "width": 30} for i in range(3)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": code} for i, code in enumerate(codes)
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(data))
    write_proposals(str(tmp_path / "good.json"), [(i, Segments([code], np.ones(1))) for i, code in enumerate(codes)])
    half = masks[1].copy()
    half[2:6] = False
    found = [(0, Segments(codes[:1], np.ones(1))), (1, Segments([encode_mask(half)], np.ones(1)))]
    write_proposals(str(tmp_path / "bad.json"), found)
    return tmp_path


def test_table_picture_and_numbers(folder: Path, capsys: pytest.CaptureFixture) -> None:
    files = [str(folder / name) for name in ("truth.json", "good.json")]
    out = folder / "out" / "all"
    assert main([*files, f"worse={folder / 'bad.json'}", "--counts", "1", "10", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "worse: no proposals for 1 of 3 images, whose objects count as missed" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["AR@1", "AR@10"] in rows and ["good", "100.00", "100.00"] in rows
    assert ["worse", "43.33", "43.33"] in rows  # 1/3, and another third up to an IoU of 0.6
    assert cv2.imread(str(out / "recall_curves.png")).std() > 5
    with open(out / "recall_curves.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 2 * 51
    at = {(row["proposals"], row["count"], row["iou"]): float(row["recall"]) for row in table}
    assert at["worse", "10", "0.59"] == pytest.approx(2 / 3, abs=1e-6)
    assert at["worse", "10", "0.61"] == pytest.approx(1 / 3, abs=1e-6) and at["good", "1", "1"] == 1
    numbers = json.loads((out / "average_recall.json").read_text())
    assert numbers["definition"] == "coco" and numbers["proposals"]["good"]["AR of 10"] == 1


def test_first_images_and_other_definitions(folder: Path, capsys: pytest.CaptureFixture) -> None:
    files = [str(folder / name) for name in ("truth.json", "bad.json")]
    assert main([*files, "--first", "1", "--definition", "best"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["bad", "100.00", "100.00", "100.00"] in rows and ["(1", "objects)"] in rows


def test_complaints(folder: Path, capsys: pytest.CaptureFixture) -> None:
    truth, good = str(folder / "truth.json"), str(folder / "good.json")
    for arguments, message in (
        ([truth, good, good], "two files are called good: write another name before one, as other="),
        ([truth, str(folder / "none.json")], "none.json"),
        ([truth, truth], "truth.json: not a list of records"),
        ([good, good], "good.json: not an object with images"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_names_of_files(tmp_path: Path) -> None:
    assert named_files(["a/b.json", "x=c=d.json"]) == {"b": "a/b.json", "x": "c=d.json"}
    odd = tmp_path / "k=5.json"
    odd.write_text("[]")
    assert named_files([str(odd)]) == {"k=5": str(odd)}
