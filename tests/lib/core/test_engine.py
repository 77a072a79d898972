"""The training loop: grouping, reporting, stopping on NaN."""

import json
import re

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.engine import DivergedError, fit, grouped
from fullconv.lib.core.metric import MetricSet
from fullconv.lib.core.progress import Progress
from fullconv.lib.core.schedule import MultiFactorSchedule
from fullconv.lib.core.trainer import Trainer


def test_groups_drop_the_incomplete_last_one():
    assert list(grouped(range(7), 3)) == [[0, 1, 2], [3, 4, 5]]


class Loader:
    """Six batches of a regression problem; the one at `bad` holds NaN."""

    def __init__(self, bad=None):
        self.bad = bad

    def __len__(self):
        return 6

    def epoch(self, number):
        for place in range(len(self)):
            x = np.full((1, 2), np.nan if place == self.bad else 1.0, "float32")
            yield {"data": x, "target": np.array([[2.0]], "float32")}

    def items(self, number, place):
        return [f"image{place}.jpg"]


def run(loader, epochs=2, accumulate=1):
    data, target = mx.sym.Variable("data"), mx.sym.Variable("target")
    loss = mx.sym.MakeLoss(mx.sym.square(mx.sym.FullyConnected(data, num_hidden=1, name="fc") - target))
    trainer = Trainer(loss, [mx.cpu()], {"data": (1, 2), "target": (1, 1)}, accumulate=accumulate)
    zeros = {n: mx.nd.zeros(s) for n, s in trainer.param_shapes().items()}
    trainer.set_params(zeros, {})
    metrics = MetricSet({"Loss": lambda a: (a["loss"].sum(), mx.nd.ones((1,)))})
    lines, records, saved = [], [], []
    progress = Progress(lines.append, records.append, frequent=2, images=accumulate, total=epochs * 6 // accumulate)
    schedule = MultiFactorSchedule(0.01)
    fit(trainer, loader, metrics, ["loss"], schedule, range(epochs), progress, saved.append, lines.append)
    return trainer, lines, records, saved


def test_loop_trains_reports_and_saves():
    trainer, lines, records, saved = run(Loader())
    assert (trainer.num_update, saved) == (12, [0, 1])
    assert [record["batch"] for record in records] == [2, 4, 6] * 2
    assert records[-1]["step"] == 12 and records[-1]["Loss"] < records[0]["Loss"]
    json.dumps(records, allow_nan=False)
    pattern = r"Epoch\[0\] Batch \[2\]\tSpeed: [\d.]+ samples/sec\tETA: \d+:\d\d:\d\d\tlr: 0.01\tTrain-Loss=[\d.]+"
    assert re.fullmatch(pattern, lines[0])
    assert records[-1]["lr"] == 0.01


def test_the_last_lines_time_left_is_zero():
    _, lines, _, _ = run(Loader())
    assert "ETA: 0:00:00" in [line for line in lines if "Batch" in line][-1]


def test_nan_stops_and_names_the_images():
    with pytest.raises(DivergedError, match=r"epoch 0, update 4: Loss not finite.*image3\.jpg.*Lower the learning"):
        run(Loader(bad=3))


def test_nan_is_found_with_accumulation_too():
    with pytest.raises(DivergedError, match="not finite"):
        run(Loader(bad=5), accumulate=3)


def test_a_metric_without_counts_is_no_divergence():
    metrics = MetricSet({"FG": lambda a: (mx.nd.zeros((1,)), mx.nd.zeros((1,)))})
    metrics.update({})
    assert np.isnan(metrics.values()["FG"]) and metrics.diverged() == []
    metrics.reset()
    assert np.isnan(metrics.values()["FG"])
