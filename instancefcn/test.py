"""Test a trained network on a data set: segment proposals, their recall, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from fullconv.instancefcn import assembly
from fullconv.instancefcn.config import METHOD
from fullconv.instancefcn.data import test_set
from fullconv.instancefcn.preprocess import check_sizes, largest_input
from fullconv.instancefcn.proposal_file import ImageProposals, read_proposals, write_proposals
from fullconv.instancefcn.tester import Detector, Sample, views
from fullconv.instancefcn.touching import touching
from fullconv.instancefcn.train_end2end import model_prefix
from fullconv.lib.core import checkpoint
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.dataset.image import read_image
from fullconv.lib.evaluation.average_recall import mask_overlaps, recall
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Run, main
from fullconv.lib.experiment.testing import TestRun, epoch_to_test
from fullconv.lib.mask.encode import encode_mask
from fullconv.lib.structures.entry import Entry
from fullconv.lib.utils import atomic
from fullconv.lib.visualize.instances import draw_instances, side_by_side
from fullconv.lib.visualize.page import Picture, write_page

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

    def proposals(self) -> List[ImageProposals]:
        """Of every image; from disk where the same network has been run on the same images before."""
        path = self.folder / "proposals.json"
        mark, key = self.folder / "proposals-key.json", json.dumps(self.key(), sort_keys=True)
        if self.reuse and path.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == key:
            self.logger.info(f"proposals read from {path}; --ignore_cache runs the network again")
            return read_proposals(str(path), self.data.image_ids)
        entries, found = self.entries, {}
        sizes = [entry.size for entry in entries]
        results = self.results(
            self.detectors(), sizes, lambda index: self.load(entries[index]), lambda index: entries[index].image
        )
        for index, made in results:
            # As codes: the masks of a whole set would not fit into memory.
            found[index] = ImageProposals(made.codes(), made.boxes, made.scores)
        kept = [found[index] for index in range(len(entries))]
        mark.unlink(missing_ok=True)
        write_proposals(str(path), self.data.image_ids, kept)
        atomic.write_text(str(mark), key)
        return kept

    def run(self) -> Dict[str, float]:
        """Propose, evaluate, draw; returns the scores by name."""
        found = self.proposals()
        scores = self.evaluate(found)
        path = self.folder / "scores.json"
        atomic.write_text(str(path), json.dumps(scores, indent=1) + "\n")
        page = write_page(
            self.folder / "pictures", self.pictures(found), "Proposals", f"the best {SHOWN} of each image"
        )
        lines = "\n".join(f"{name:24} {100 * value:6.2f}" for name, value in scores.items())
        self.logger.info(f"pictures: {page}\naverage recall in percent (also in {path})\n{lines}")
        return scores

    def evaluate(self, found: List[ImageProposals]) -> Dict[str, float]:
        """Average recall over all objects, and with TEST.TOUCHING over those close to another."""
        test = self.config.TEST
        return recall_scores(self.entries, found, test.AR_COUNTS, test.AR_DEFINITION, test.TOUCHING)

    def pictures(self, found: List[ImageProposals]) -> Iterator[Picture]:
        """The best proposals beside the ground truth."""
        for entry, proposals in zip(self.entries[: self.picture_count(len(self.entries))], found):
            image, masks = read_image(entry.image), entry.read_masks()
            best = proposals.first(SHOWN)
            left = draw_instances(image, entry.boxes, [self.data.classes[c] for c in entry.classes], masks)
            right = draw_instances(image, best.boxes, [""] * len(best.boxes), best.masks(), best.scores)
            yield Picture(Path(entry.image).name, side_by_side(left, right), f"{len(proposals.boxes)} proposals")


def recall_scores(
    entries: Sequence[Entry], found: Sequence[ImageProposals], counts: Sequence[int], definition: str, gap: int = -1
) -> Dict[str, float]:
    """Average recall by name, as `AR@100`; with a gap from 0 on also `AR@100 (touching)`, over the objects alone that
    are so close to another."""
    overlaps, close = [], []
    for entry, proposals in zip(entries, found):
        masks = entry.read_masks()
        overlaps.append(mask_overlaps(proposals.codes, [encode_mask(mask) for mask in masks]))
        if gap >= 0:
            close.append(overlaps[-1][:, touching(masks, gap)])
    sets = {"": overlaps, " (touching)": close} if gap >= 0 else {"": overlaps}
    return {
        f"AR@{count}{name}": value
        for name, ious in sets.items()
        for count, value in zip(counts, recall(ious, counts, definition=definition).average)
    }


def check_test_set(run: Run) -> None:
    """Read the test set's annotations and image headers, so that a mistake there shows before training, not after."""
    test_set(run.config.dataset).entries()


def test(run: Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return InstanceFCNTest(run).run()


if __name__ == "__main__":
    main(METHOD, __doc__, test, parts=[TEST])
