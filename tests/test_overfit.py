"""A method learns four pictures by heart, from nothing: a fault in a target, a loss, a gradient, an update, in what
testing makes of the outputs or in scoring keeps it from that. Reliability bar R9."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 96, 128
CLASSES = ("disc", "bar")
COLOURS = ((40, 160, 240), (200, 60, 90))  # blue, green, red
CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def write_pictures(folder: Path) -> Path:
    """Four pictures with a disc and a bar each: a COCO file of masks, and label pictures of the same."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    images: List[Dict[str, Any]] = []
    annotations: List[Dict[str, Any]] = []
    for k in range(1, 5):
        random = np.random.RandomState(k)
        picture = random.randint(90, 130, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for label in (1, 2):
            left = 64 * ((label + k) % 2)
            centre = left + random.randint(28, 36), int(random.randint(32, 64))
            axes = (22, 22) if label == 1 else (12, 24)
            outline = cv2.ellipse2Poly(centre, axes, 0, 0, 360, 5)
            if label == 2:
                outline = np.array([(centre[0] + sx * axes[0], centre[1] + sy * axes[1]) for sx, sy in CORNERS])
            cv2.fillPoly(picture, [outline], COLOURS[label - 1])
            cv2.fillPoly(labels, [outline], label)
            ys, xs = np.nonzero(labels == label)
            box = [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]
            record = {"id": len(annotations) + 1, "image_id": k, "category_id": label, "iscrowd": 0, "bbox": box}
            annotations.append({**record, "area": len(xs), "segmentation": [outline.astype(float).ravel().tolist()]})
        cv2.imwrite(str(folder / "images" / f"{k}.png"), picture)
        cv2.imwrite(str(folder / "labels" / f"{k}.png"), labels)
        images.append({"id": k, "file_name": f"{k}.png", "height": HEIGHT, "width": WIDTH})
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "own.json").write_text(json.dumps(content))
    (folder / "classes.txt").write_text("\n".join(["background", *CLASSES]) + "\n")
    (folder / "own.txt").write_text("".join(f"{k}\n" for k in range(1, 5)))
    return folder


class Run(NamedTuple):
    """A method's script and what to change in its configuration. scores: where it writes them. least: of each."""

    config: str
    changes: Dict[str, Any]
    scores: str
    read: Callable[[Dict[str, Any]], List[float]]
    least: float


def changes(method: str, folder: Path, out: Path) -> Dict[str, Any]:
    return {key: str(value).format(folder=folder, out=out) for key, value in RUNS[method].changes.items()}


RUNS = {
    "fcos": Run(
        "shapes_fcos",
        {
            "OUTPUT_DIR": "{out}",
            "DATA.dataset": "coco",
            "DATA.dataset_path": "{folder}",
            "DATA.root_path": "{folder}/data",
            "DATASETS.TRAIN": "['own']",
            "DATASETS.TEST": "['own']",
            "INPUT.MIN_SIZE_TRAIN": f"[{HEIGHT}]",
            "INPUT.MAX_SIZE_TRAIN": WIDTH,
            "INPUT.MIN_SIZE_TEST": HEIGHT,
            "INPUT.MAX_SIZE_TEST": WIDTH,
            "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 32,
            "MODEL.FCOS.NUM_CONVS": 1,
            "SOLVER.MAX_ITER": 100,
            "SOLVER.STEPS": "[70,90]",
            "SOLVER.WARMUP_ITERS": 10,
            "SOLVER.CHECKPOINT_PERIOD": 100,
        },
        "own/scores.json",
        lambda scores: [scores["box AP@0.5"]],
        0.95,
    ),
    "fcn": Run(
        "shapes_fcn",
        {
            "output_path": "{out}",
            "symbol": "voc-fcn8s-atonce",
            "default.devices": "cpu",
            "dataset.dataset": "folder",
            "dataset.dataset_path": "{folder}",
            "dataset.image_set": "own",
            "dataset.test_image_set": "own",
            "network.width": 0.125,
            "network.hidden": 32,
            "network.FIXED_PARAMS": "[]",
            "network.learn_upsampling": "true",
            "TRAIN.max_iter": 100,
            "TRAIN.snapshot": 100,
            "TRAIN.order": "shuffle",
            "TRAIN.FLIP": "false",
        },
        "own/voc-fcn8s-atonce/scores.json",
        lambda scores: [scores["tasks"]["label"]["mean IU"]],
        0.95,
    ),
}


@pytest.mark.parametrize("method", RUNS)
def test_four_pictures_are_learned_by_heart(tmp_path: Path, method: str) -> None:
    folder, run = write_pictures(tmp_path / "pictures"), RUNS[method]
    words = [word for pair in changes(method, folder, tmp_path / "out").items() for word in pair]
    script = ROOT / "experiments" / method / f"{method}_end2end_train_test.py"
    config = ROOT / "experiments" / method / "cfgs" / f"{run.config}.yaml"
    done = subprocess.run(
        [sys.executable, str(script), "--cfg", str(config), "--frequent", "20", "--set", *words],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = run.read(json.loads((tmp_path / "out" / run.config / run.scores).read_text()))
    print(f"{method}: {found}")
    assert min(found) >= run.least, f"{found}\n{done.stdout[-5000:]}"
