"""Curves of recall over IoU, a panel for each number of proposals (InstanceFCN, figures 6 and 7)."""

from __future__ import annotations

import csv
import io
import os
from typing import Mapping

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed
import matplotlib.pyplot as plt  # noqa: E402

from fullconv.lib.evaluation.average_recall import Recall  # noqa: E402
from fullconv.lib.utils import atomic  # noqa: E402


def write_recall_csv(recalls: Mapping[str, Recall], path: str) -> None:
    """Columns proposals, count, iou, recall: a row per set, count and threshold. The folder is made if missing."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["proposals", "count", "iou", "recall"])
    for name, found in recalls.items():
        for i, count in enumerate(found.counts):
            for threshold, value in zip(found.thresholds, found.recall[i].tolist()):
                rows.writerow([name, count, f"{threshold:g}", f"{value:.6f}"])
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    atomic.write_text(path, table.getvalue())


def write_recall_curves(recalls: Mapping[str, Recall], path: str, averages: Mapping[str, Recall]) -> None:
    """Draw `recalls` (all of the same counts) as PNG; the legend has the mean of each set in `averages`.

    The folder is made if missing.
    """
    counts = list(next(iter(recalls.values())).counts)
    size = (3.9 * len(counts), 3.6)
    figure, panels = plt.subplots(1, len(counts), figsize=size, squeeze=False, sharey=True, layout="constrained")
    for i, (panel, count) in enumerate(zip(panels[0], counts)):
        for name, found in recalls.items():
            label = f"{name}  {100 * averages[name].average[i]:.1f}"
            panel.plot(found.thresholds, found.recall[i], linewidth=1.7, label=label)
        panel.set_title(f"{count} proposals", fontsize=10, loc="left")
        panel.set_xlabel("IoU")
        panel.set_xlim(0.5, 1)
        panel.set_ylim(0, 1)
        panel.grid(True, color="0.93")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=8, frameon=False, title="average recall", title_fontsize=8, alignment="left")
    panels[0][0].set_ylabel("recall")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png")
    plt.close(figure)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    atomic.write(path, lambda file: file.write(drawn.getvalue()))
