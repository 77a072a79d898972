"""Testing a network that finds objects: detect, keep, evaluate, draw. A method says how its detectors are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from fullconv.lib.core import checkpoint
from fullconv.lib.core.inference import Device
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.evaluation.evaluator import evaluator_for
from fullconv.lib.experiment.class_file import check_classes
from fullconv.lib.experiment.command_line import Run
from fullconv.lib.experiment.testing import TestRun
from fullconv.lib.structures.detections import Detections, load_detections, save_detections
from fullconv.lib.structures.entry import Entry
from fullconv.lib.utils import atomic
from fullconv.lib.visualize.detection_gallery import write_gallery


class DetectionTestRun(TestRun):
    """Detections of one checkpoint on one image set, and what is made of them.

    A method's own has `detectors()` and `load(entry)`, and says in `determining()` which settings its detections follow
    from. masks: whether they have any. data: the test set. prefix, epoch: of the checkpoint. show_thresh: least score
    in pictures.

    Raises ValueError: the checkpoint was trained on other classes.
    """

    masks = True
    binary_thresh = 0.4
    show_thresh = 0.7

    def __init__(self, run: Run, data: DetectionSet, image_sets: str, prefix: Path, epoch: int) -> None:
        super().__init__(run, run.settings.folder(run.args.cfg, image_sets), Path(run.args.cfg).stem)
        check_classes(prefix, data.classes)
        self.data, self.entries = data, data.entries()
        self.params_path = checkpoint.params_path(str(prefix), epoch)
        self.logger.info(f"testing {self.params_path}, {checkpoint.origin(str(prefix), epoch)}")
        self.reuse = not getattr(run.args, "ignore_cache", False)

    def detectors(self) -> Sequence[Device]:
        """One per device; each makes `Detections` of a sample."""
        raise NotImplementedError

    def load(self, entry: Entry) -> Any:
        """The sample that a detector takes; called by threads."""
        raise NotImplementedError

    def determining(self) -> Mapping[str, Any]:
        """The settings that detections follow from, besides parameters and images."""
        raise NotImplementedError

    def key(self) -> Dict[str, Any]:
        """What determines the detections: a file made under another key is not reused."""
        checkpoint.verify(self.params_path)
        settings = {name: str(value) for name, value in self.determining().items()}
        settings.update(self.choice.determining())
        images = [str(image_id) for image_id in self.data.image_ids]
        return {"params": atomic.sha256(self.params_path), "images": images, "config": settings}

    def detections(self) -> List[Detections]:
        """Of every image; from disk where the same network has been run on the same images before."""
        path, key = self.folder / f"{self.data.name}_detections.npz", self.key()
        kept = load_detections(path, key) if self.reuse else None
        if kept is not None:
            again = "--ignore_cache" if hasattr(self.args, "ignore_cache") else "deleting it"
            self.logger.info(f"detections read from {path}; {again} runs the network again")
            return kept
        entries, sizes = self.entries, [entry.size for entry in self.entries]
        found: Dict[int, Detections] = dict(
            self.results(
                self.detectors(), sizes, lambda index: self.load(entries[index]), lambda index: entries[index].image
            )
        )
        detections = [found[index] for index in range(len(entries))]
        save_detections(path, key, detections)
        return detections

    def run(self) -> Dict[str, float]:
        """Detect, evaluate, draw; returns the scores by name."""
        detections = self.detections()
        evaluator = evaluator_for(self.data, self.masks, self.binary_thresh)
        scores = evaluator.evaluate(detections, str(self.folder / "results"))
        atomic.write_text(str(self.folder / "scores.json"), json.dumps(scores, indent=1) + "\n")
        self.draw(detections)
        self.logger.info(f"scores in percent (also in {self.folder / 'scores.json'})\n{evaluator.table(scores)}")
        return scores

    def draw(self, detections: Sequence[Detections]) -> None:
        """A page of pictures with detections beside the ground truth."""
        entries = self.entries[: self.picture_count(len(self.entries))]
        page = write_gallery(
            self.folder / "pictures", entries, self.data.classes, detections, self.show_thresh, self.binary_thresh
        )
        self.logger.info(f"pictures of {len(entries)} images: {page}")
