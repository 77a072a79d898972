"""Test a trained network on a data set: segment proposals, their recall, pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from fullconv.instancefcn import assembly
from fullconv.instancefcn.config import METHOD
from fullconv.instancefcn.data import test_set
from fullconv.instancefcn.preprocess import check_sizes, largest_input
from fullconv.instancefcn.tester import Detector, Sample, views
from fullconv.instancefcn.touching import touching
from fullconv.instancefcn.train_end2end import model_prefix
from fullconv.lib.core import checkpoint
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.dataset.image import read_image
from fullconv.lib.evaluation.average_recall import CURVE_THRESHOLDS, Recall, mask_overlaps, recall
from fullconv.lib.evaluation.proposal_files import Segments, read_proposals, write_proposals
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Run, main
from fullconv.lib.experiment.testing import TestRun, epoch_to_test
from fullconv.lib.mask.encode import encode_mask
from fullconv.lib.mask.instance_map import mask_boxes
from fullconv.lib.structures.entry import Entry
from fullconv.lib.utils import atomic
from fullconv.lib.visualize.instances import draw_instances, side_by_side
from fullconv.lib.visualize.page import Picture, write_page
from fullconv.lib.visualize.recall_curves import write_recall_csv, write_recall_curves

SHOWN = 10
"""Proposals in a picture."""


class InstanceFCNTest(TestRun):
    """A checkpoint on the test set of a config."""

    def __init__(self, run: Run) -> None:
        self.config, prefix = run.config, str(model_prefix(run))
        epoch = epoch_to_test(prefix, run.config.TEST.test_epoch, "instancefcn_end2end_train_test.py")
        folder = run.settings.folder(run.args.cfg, run.config.dataset.test_image_set)
        super().__init__(run, folder, Path(run.args.cfg).stem)
        self.data = test_set(run.config.dataset)
        self.entries = self.data.entries()
        self.params_path = checkpoint.params_path(prefix, epoch)
        self.logger.info(f"testing {self.params_path}, {checkpoint.origin(prefix, epoch)}")
        self.images = assembly.input_spec(run.config)
        self.reuse = not getattr(run.args, "ignore_cache", False)

    def detectors(self) -> List[Detector]:
        """One per device."""
        check_sizes(self.entries, self.images)
        params, largest = checkpoint.load_file(self.params_path), largest_input(self.entries, self.images)
        parts = assembly.network_spec(self.config), self.images, assembly.result_spec(self.config), params
        return [Detector(*parts, ctx, largest, self.params_path) for ctx in self.contexts]

    def load(self, entry: Entry) -> Sample:
        """The image at all scales."""
        return views(read_entry_image(entry), self.images)

    def key(self) -> Dict[str, Any]:
        """What determines the proposals: a file made under another key is not reused."""
        checkpoint.verify(self.params_path)
        settings = {name: str(value) for name, value in self.determining().items()}
        images = [str(image_id) for image_id in self.data.image_ids]
        return {"params": atomic.sha256(self.params_path), "images": images, "config": settings}

    def determining(self) -> Mapping[str, Any]:
        """All but what is about training, evaluation or the machine."""
        others = ("TRAIN.", "default.", "CLASSIFIER.", "gpus", "output_path", "TEST.AR_", "TEST.TOUCHING")
        return {key: value for key, value in base.flatten(self.config) if not key.startswith(others)}

    def proposals(self) -> List[Segments]:
        """Of every image; from disk where the same network has been run on the same images before."""
        path = self.folder / "proposals.json"
        mark, key = self.folder / "proposals-key.json", json.dumps(self.key(), sort_keys=True)
        if self.reuse and path.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == key:
            self.logger.info(f"proposals read from {path}; --ignore_cache runs the network again")
            stored = read_proposals(str(path), dict(zip(self.data.image_ids, (entry.size for entry in self.entries))))
            return list(stored.values())
        entries, found = self.entries, {}
        sizes = [entry.size for entry in entries]
        results = self.results(
            self.detectors(), sizes, lambda index: self.load(entries[index]), lambda index: entries[index].image
        )
        for index, made in results:
            # As codes: the masks of a whole set would not fit into memory.
            found[index] = Segments(made.codes(), made.scores)
        kept = [found[index] for index in range(len(entries))]
        mark.unlink(missing_ok=True)
        write_proposals(str(path), zip(self.data.image_ids, kept))
        atomic.write_text(str(mark), key)
        return kept

    def run(self) -> Dict[str, float]:
        """Propose, evaluate, draw; returns the scores by name."""
        found, test = self.proposals(), self.config.TEST
        overlaps = all_overlaps(self.entries, found, test.TOUCHING)
        recalls = {name: recall(ious, test.AR_COUNTS, definition=test.AR_DEFINITION) for name, ious in overlaps.items()}
        scores = named_scores(recalls)
        path = self.folder / "scores.json"
        # json has no nan, which is the recall of no objects.
        numbers = {name: value if math.isfinite(value) else None for name, value in scores.items()}
        atomic.write_text(str(path), json.dumps(numbers, indent=1) + "\n")
        self.curves(overlaps[""], recalls[""])
        note = f"the best {SHOWN} of each image"
        page = write_page(self.folder / "pictures", self.pictures(found), "Proposals", note)
        lines = "\n".join(f"{name:24} {100 * value:6.2f}" for name, value in scores.items())
        self.logger.info(f"pictures: {page}\naverage recall in percent (also in {path})\n{lines}")
        return scores

    def curves(self, overlaps: Sequence[np.ndarray], average: Recall) -> None:
        """Recall over IoU (Fig. 6 and 7 of the paper) as picture and numbers."""
        test, name = self.config.TEST, Path(self.args.cfg).stem
        found = {name: recall(overlaps, test.AR_COUNTS, CURVE_THRESHOLDS, test.AR_DEFINITION)}
        if found[name].objects:
            write_recall_curves(found, str(self.folder / "recall_curves.png"), {name: average})
            write_recall_csv(found, str(self.folder / "recall_curves.csv"))

    def pictures(self, found: List[Segments]) -> Iterator[Picture]:
        """The best proposals beside the ground truth."""
        for entry, proposals in zip(self.entries[: self.picture_count(len(self.entries))], found):
            image, masks = read_image(entry.image), entry.read_masks()
            best = proposals.first(SHOWN)
            segments = np.moveaxis(coco_mask.decode(list(best.codes)), -1, 0) if len(best.codes) else masks[:0]
            boxes = mask_boxes(segments)
            left = draw_instances(image, entry.boxes, [self.data.classes[c] for c in entry.classes], masks)
            right = draw_instances(image, boxes, [""] * len(boxes), segments, best.scores)
            yield Picture(Path(entry.image).name, side_by_side(left, right), f"{len(proposals.codes)} proposals")


def all_overlaps(entries: Sequence[Entry], found: Sequence[Segments], gap: int = -1) -> Dict[str, List[np.ndarray]]:
    """IoU (m, n) of each image's proposals and objects, by the name "", and with a gap from 0 on also by the name
    " (touching)" with those objects alone that are so close to another."""
    overlaps: Dict[str, List[np.ndarray]] = {"": [], " (touching)": []} if gap >= 0 else {"": []}
    for entry, proposals in zip(entries, found):
        masks = entry.read_masks()
        iou = mask_overlaps(proposals.codes, [encode_mask(mask) for mask in masks])
        overlaps[""].append(iou)
        if gap >= 0:
            overlaps[" (touching)"].append(iou[:, touching(masks, gap)])
    return overlaps


def named_scores(recalls: Mapping[str, Recall]) -> Dict[str, float]:
    """Average recall by name, as `AR@100`, then those of the other kinds, as `AR@100 (touching)`."""
    return {
        f"AR@{count}{name}": value
        for name, found in recalls.items()
        for count, value in zip(found.counts, found.average)
    }


def check_test_set(run: Run) -> None:
    """Read the test set's annotations and image headers, so that a mistake there shows before training, not after."""
    test_set(run.config.dataset).entries()


def test(run: Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return InstanceFCNTest(run).run()


if __name__ == "__main__":
    main(METHOD, __doc__, test, parts=[TEST])
