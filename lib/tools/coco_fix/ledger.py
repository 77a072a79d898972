"""What was changed and what could not be decided: nothing is changed without a word."""

from __future__ import annotations

from collections import defaultdict

from fullconv.lib.dataset.detection.coco_format import Problem
from fullconv.lib.tools.findings import examples


class Ledger:
    """changes: kind -> the records changed so, in order. undecided: what has two readings, or none."""

    def __init__(self) -> None:
        self.changes: dict[str, list[str]] = defaultdict(list)
        self.undecided: list[Problem] = []

    def change(self, kind: str, record: str) -> None:
        """One record was changed."""
        self.changes[kind].append(record)

    def leave(self, record: str, text: str, fatal: bool = True) -> None:
        """One record stays as it is, and wrong; it bars the file from use where it is fatal."""
        self.undecided.append(Problem(record, text, fatal))

    def lines(self) -> list[str]:
        """A line for each kind of change with its count and first records."""
        return [
            f"changed, {len(records)} times: {kind} ({examples(records, len(records))})"
            for kind, records in self.changes.items()
        ]
