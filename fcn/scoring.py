"""Scores of a network on the test set, and the files that keep them all: testing and training write to the same.

The originals' solve.py trains to a snapshot, scores, trains to the next; with `TRAIN.score_snapshots` so does ours.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Sequence, Union

import mxnet as mx
import numpy as np
from easydict import EasyDict

from fullconv.fcn.convert import load_exactly
from fullconv.fcn.data import test_set
from fullconv.fcn.loader import ImageSource
from fullconv.fcn.model import segmenter
from fullconv.fcn.symbols import FCN
from fullconv.fcn.targets import feeds
from fullconv.fcn.tester import Judge
from fullconv.lib.core.inference import StepClock, infer
from fullconv.lib.engines.network import BY_MXNET, Choice
from fullconv.lib.evaluation.segmentation import SegmentationEvaluator, original_log
from fullconv.lib.experiment.settings import Settings
from fullconv.lib.visualize.curves import write_curves


class TestImages:
    """The test set of a config's group `dataset`, as a network takes it.

    Raises DatasetError, ValueError: it cannot be read, or does not serve this network (`fcn.targets.feeds`).
    """

    __test__ = False  # pytest would take it for tests

    def __init__(self, data: EasyDict, net: FCN) -> None:
        self.dataset = test_set(data)
        inputs, labels = feeds(self.dataset, net)
        self.source = ImageSource(self.dataset, inputs, labels)
        net.check_sizes(self.dataset.image_ids, self.source.sizes)
        self.largest = self.source.largest_shapes()[next(iter(inputs))][2:]

    def judges(
        self,
        net: FCN,
        params: Mapping[str, np.ndarray],
        contexts: Sequence[mx.Context],
        tile: int,
        choice: Choice = BY_MXNET,
    ) -> List[Judge]:
        """The network on every device. tile: see `fcn.tester.Segmenter`."""
        height, width = self.largest
        return [Judge(segmenter(net, params, ctx, (height, width), tile, choice)) for ctx in contexts]

    def order(self) -> List[int]:
        """Images of one size together: every new size costs a binding."""
        return sorted(range(len(self.dataset)), key=self.source.sizes.__getitem__)


class ScoreHistory:
    """The scores of a training's checkpoints, in the folder of a network's results; files grow, nothing is overwritten.

    `scores.log`: the `>>>` lines of the originals, bare, for scripts that parse them. `scores.jsonl`: an object per
    scored checkpoint, `step` being its updates. `scores.png`: the same as curves, redrawn each time.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        self.log, self.jsonl, self.picture = (self.folder / f"scores.{end}" for end in ("log", "jsonl", "png"))

    def set_aside(self) -> None:
        """A training begins from its start: rename what an earlier one left, by when that was written last."""
        written = [path.stat().st_mtime for path in (self.log, self.jsonl) if path.exists()]
        if not written:
            return
        date = time.strftime("%Y-%m-%d-%H-%M-%S", time.localtime(max(written)))
        for path in (self.log, self.jsonl, self.picture):
            if path.exists():
                path.rename(path.with_name(f"scores-until-{date}{path.suffix}"))

    def add(self, evaluator: SegmentationEvaluator, iteration: int, weights: str) -> List[str]:
        """Append what was found; returns the `>>>` lines.

        iteration: updates that the weights were trained for; 0 is unknown, which has no place on a curve and gives
        `>>>` lines alone. weights: their file. Raises OSError: the folder cannot be written.
        """
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        lines: List[str] = []
        record: Dict[str, object] = {"step": iteration, "time": now, "weights": weights}
        results = evaluator.result()
        for task, found in results.items():
            loss = evaluator.mean_loss(task)
            lines += original_log(found, loss, iteration, now)
            values = {"loss": loss, **found.as_dict([])}
            label = f"{task} " if len(results) > 1 else ""
            record.update({f"{label}{name}": v if math.isfinite(v) else None for name, v in values.items()})
        self.folder.mkdir(parents=True, exist_ok=True)
        _append(self.log, lines)
        if iteration:
            _append(self.jsonl, [json.dumps(record)])
            write_curves(self.jsonl, self.picture, f"{self.folder.name} on {self.folder.parent.name}")
        return lines


def _append(path: Path, lines: Sequence[str]) -> None:
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
    except OSError as error:  # a failed write does not say of what
        raise OSError(error.errno, error.strerror, str(path)) from None


class SnapshotScorer:
    """Scores every snapshot of a training on the test set. config: of the stage. folder: for the history's files.

    The snapshot's file is what is scored, so a training is not touched by it, and neither are its random numbers.
    """

    def __init__(
        self,
        config: EasyDict,
        net: FCN,
        folder: Path,
        settings: Settings,
        contexts: Sequence[mx.Context],
        log: Callable[[str], None],
    ) -> None:
        self.config, self.settings, self.contexts, self.log = config, settings, contexts, log
        self.images, self.history = TestImages(config.dataset, net), ScoreHistory(folder)

    def __call__(self, path: str, iteration: int) -> None:
        """Score the weights in `path`, saved after `iteration` updates."""
        images, started = self.images, time.time()
        judges = images.judges(*load_exactly(self.config.symbol, path), self.contexts, self.config.TEST.tile)
        evaluator = SegmentationEvaluator(images.dataset)
        clock = StepClock(len(images.dataset), self.settings.frequent, lambda line: None)
        name = images.dataset.image_ids.__getitem__
        workers = self.settings.num_workers
        for index, (labels, losses) in infer(judges, images.order(), images.source.sample, clock, workers, name):
            evaluator.add(index, labels, losses)
        for line in self.history.add(evaluator, iteration, path):
            self.log(line)
        self.log(f"scored {len(images.dataset)} images of {images.dataset.name} in {time.time() - started:.0f} s")
