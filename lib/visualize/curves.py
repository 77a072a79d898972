"""Training curves from a JSONL log: `python -m fullconv.lib.visualize.curves log.jsonl curves.png`."""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
from pathlib import Path
from typing import Any, Sequence

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from fullconv.lib.utils import atomic  # noqa: E402

BOOKKEEPING = {
    "epoch",
    "batch",
    "step",
    "samples_per_sec",
    "time",
    "eta",
    "seconds",
    "elapsed",
    "memory",
    "num_update",
}
SMOOTHING_SHARE = 1 / 20  # of the curve's length: the window of the running mean


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Records of a log, one json object a line; lines that are none (a killed run's last one) are left out.

    Raises FileNotFoundError: no such file.
    """
    records = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            # A record nested a thousand deep is damage too, and json meets it with a RecursionError.
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                records.append(record)
    return records


def series(records: Sequence[dict[str, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every plotted key with its steps and finite values, in order of appearance.

    A record without `step` is taken to follow the one before. A resumed run repeats steps: the later value
    counts.
    """
    curves: dict[str, dict[float, float]] = {}
    step = -1.0
    for record in records:
        step = float(record["step"]) if _is_number(record.get("step")) else step + 1
        for key, value in record.items():
            if key not in BOOKKEEPING and _is_number(value):
                curves.setdefault(key, {})[step] = float(value)
    ordered = {key: sorted(values.items()) for key, values in curves.items()}
    return {key: (np.array([s for s, _ in v]), np.array([x for _, x in v])) for key, v in ordered.items()}


def _is_number(value: Any) -> bool:
    # bool is an int to Python, and the json reader lets NaN and Infinity through.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred running mean of (n,) values over a twentieth of them, cut off at the ends."""
    half = int(len(values) * SMOOTHING_SHARE / 2)
    # Differences of running sums: the same work whatever the window.
    total = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def epoch_starts(records: Sequence[dict[str, Any]]) -> list[float]:
    """Steps at which a new epoch begins, the first left out."""
    starts: dict[Any, float] = {}
    for record in records:
        if _is_number(record.get("epoch")) and _is_number(record.get("step")):
            starts.setdefault(record["epoch"], float(record["step"]))
    return sorted(starts.values())[1:]


def write_curves(log: str | Path, out: str | Path, title: str = "") -> Path | None:
    """Draw every numeric key of a log, bookkeeping left out, a panel each, and save it as PNG.

    Args:
        log: JSONL file with `step` and, for the dotted lines, `epoch`.
        out: picture to write; its folder is made if missing.
        title: heading; the log's name if empty.

    Returns:
        path of the picture, or None where there is nothing to plot yet, so that a training may always ask.
    """
    records = read_log(log) if Path(log).exists() else []
    curves = series(records)
    if not curves:
        return None
    figure, panels = _panels(len(curves))
    for panel, (key, (steps, values)) in zip(panels, curves.items()):
        _draw(panel, key, steps, values)
        for start in epoch_starts(records):
            panel.axvline(start, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    figure.suptitle(title or Path(log).stem, fontsize=13, fontweight="bold", x=0.01, ha="left")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png")
    plt.close(figure)
    # Redrawn while a training runs: whoever has it open must not see half of it.
    atomic.write(str(out), lambda file: file.write(drawn.getvalue()))
    return Path(out)


def _panels(count: int) -> tuple[Any, Any]:
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (3.6 * columns, 2.6 * rows + 0.4)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in grid.flat[count:]:
        panel.set_axis_off()
    return figure, grid.flat


def _draw(panel: Any, key: str, steps: np.ndarray, values: np.ndarray) -> None:
    color = "#2a7f62" if "acc" in key.lower() else "#7a7a7a" if key == "lr" else "#c4512d"
    # A curve of few points needs to show them; one alone would be no line at all.
    dots = {"marker": "o", "markersize": 3} if len(values) < 20 else {}
    panel.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
    # A rate changes in steps, which a running mean would round off.
    panel.plot(steps, smooth(values) if key != "lr" else values, color=color, linewidth=1.7, **dots)
    panel.set_title(f"{key}   {values[-1]:.4g}", fontsize=10, loc="left")
    panel.grid(True, color="0.93")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8, color="0.6")
    panel.margins(x=0.02)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", help="training log, one json object a line")
    parser.add_argument("out", nargs="?", help="picture to write (default: beside the log)")
    parser.add_argument("--title", default="", help="heading (default: the log's name)")
    args = parser.parse_args(argv)
    try:
        picture = write_curves(args.log, args.out or Path(args.log).with_suffix(".png"), args.title)
    except OSError as error:
        print(f"curves: {error}", file=sys.stderr)
        return 2
    if picture is None:
        why = "has no numbers to plot" if Path(args.log).exists() else "does not exist"
        print(f"curves: {args.log} {why}: name the .jsonl file of a training run", file=sys.stderr)
        return 2
    print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
