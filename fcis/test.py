"""Test a trained FCIS on a data set and evaluate it (original section 7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np

from fullconv.fcis import config as fcis_config
from fullconv.fcis.data import build_imdb, check_classes
from fullconv.fcis.tester import Detector, detect_all
from fullconv.fcis.train_end2end import model_prefix
from fullconv.lib.core import checkpoint
from fullconv.lib.evaluation.evaluator import evaluator_for
from fullconv.lib.experiment import command_line as experiment
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.structures.detections import Detections, load_detections, save_detections
from fullconv.lib.utils import atomic
from fullconv.lib.utils.logger import RunLogger
from fullconv.lib.visualize.detection_gallery import write_gallery

GALLERY_IMAGES = 32
"""Pictures written without --vis; with it, every tested image gets one."""


class TestRun:
    """Detections of one checkpoint on one image set, and what is made of them."""

    def __init__(self, run: experiment.Run) -> None:
        self.args, self.config, self.contexts = run.args, run.config, run.contexts
        self.imdb = build_imdb(self.config, self.config.dataset.test_image_set)
        self.roidb = self.imdb.entries()
        self.folder = experiment.output_folder(self.config, run.args.cfg, self.config.dataset.test_image_set)
        self.logger = RunLogger(self.folder, Path(run.args.cfg).stem, False)
        prefix = model_prefix(self.config, run.args.cfg)
        check_classes(prefix, self.imdb.classes)
        self.prefix = str(prefix)

    def epoch(self) -> int:
        """TEST.test_epoch, or the newest checkpoint when it is 0."""
        return epoch_to_test(self.prefix, self.config.TEST.test_epoch, "fcis_end2end_train_test.py")

    def detectors(self) -> List[Detector]:
        """One detector per device, with the raw box weights: BoxParser applies the targets' normalisation itself."""
        epoch = self.epoch()
        args, aux = checkpoint.load_params(self.prefix, epoch)
        path = checkpoint.params_path(self.prefix, epoch)
        return [Detector(self.config, args, aux, self.imdb.classes, ctx, path) for ctx in self.contexts]

    def order(self) -> Sequence[int]:
        """Order of testing: images of one size together, which saves binding; --shuffle permutes it instead."""
        if self.args.shuffle:
            return np.random.permutation(len(self.roidb))
        sizes = [entry.size for entry in self.roidb]
        return sorted(range(len(sizes)), key=sizes.__getitem__)

    def key(self) -> Dict:
        """What determines the detections: a file made under another key is not reused."""
        used = ("TRAIN.BBOX_MEANS", "TRAIN.BBOX_STDS")
        settings = {
            k: str(v) for k, v in base.flatten(self.config) if k in used or not k.startswith(("TRAIN.", "default."))
        }
        path = checkpoint.params_path(self.prefix, self.epoch())
        checkpoint.verify(path)
        return {"params": atomic.sha256(path), "images": [str(i) for i in self.imdb.image_ids], "config": settings}

    def detections(self) -> List[Detections]:
        """What is in every image, from disk where the same network has been run on the same images before."""
        path, key = self.folder / f"{self.imdb.name}_detections.npz", self.key()
        found = None if self.args.ignore_cache else load_detections(path, key)
        if found is not None:
            self.logger.info(f"detections read from {path}; --ignore_cache runs the network again")
            return found
        found = detect_all(self.detectors(), self.roidb, self.order(), self.logger.info)
        save_detections(path, key, found)
        return found

    def run(self) -> Dict[str, float]:
        """Detect, evaluate, draw; returns the scores by name."""
        evaluator = evaluator_for(self.imdb, masks=True, binary_thresh=self.config.BINARY_THRESH)
        detections = self.detections()
        scores = evaluator.evaluate(detections, str(self.folder / "results"))
        atomic.write_text(str(self.folder / "scores.json"), json.dumps(scores, indent=1) + "\n")
        self.draw(detections)
        self.logger.info(f"scores in percent (also in {self.folder / 'scores.json'})\n{evaluator.table(scores)}")
        return scores

    def draw(self, detections: Sequence[Detections]) -> None:
        """A page of pictures with detections beside the ground truth."""
        count = len(self.roidb) if self.args.vis else min(GALLERY_IMAGES, len(self.roidb))
        page = write_gallery(
            self.folder / "pictures",
            self.roidb[:count],
            self.imdb.classes,
            detections,
            thresh=0.7,
            binary_thresh=self.config.BINARY_THRESH,
        )
        self.logger.info(f"pictures of {count} images: {page}")


def check_test_set(run: experiment.Run) -> None:
    """Read the test set's annotations and image headers, so that a mistake there shows before training, not after."""
    build_imdb(run.config, run.config.dataset.test_image_set).entries()


def test(run: experiment.Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return TestRun(run).run()


if __name__ == "__main__":
    experiment.main(fcis_config.load, __doc__, test)
