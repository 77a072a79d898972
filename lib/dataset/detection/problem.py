"""A complaint about one record of an annotation file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One complaint: `record` is for example `annotation 12`; a fatal one bars the data set from use."""

    record: str
    text: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.record}: {self.text}"
