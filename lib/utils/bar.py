"""A bar with running numbers, on a terminal; where errors go to a file or a pipe there is none."""

from __future__ import annotations

import shutil
import sys
from typing import Dict, List, Mapping

from tqdm import tqdm

FORM = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


def on_terminal() -> bool:
    """Whether bars are shown: whether somebody looks at the standard error."""
    return sys.stderr.isatty()


def size() -> Dict[str, int]:
    """Of the terminal, as tqdm takes it, whose own answer is 0 where a terminal does not know: bars would be empty."""
    columns, lines = shutil.get_terminal_size()
    return {"ncols": columns - 1, "nrows": lines}


def wrapped(numbers: Mapping[str, float], width: int) -> List[str]:
    """`name 0.1234` side by side, in lines of at most `width` characters as far as one of them fits."""
    lines: List[str] = []
    for name, value in numbers.items():
        item = f"{name} {value:.4f}"
        if lines and len(lines[-1]) + 2 + len(item) <= width:
            lines[-1] += f"  {item}"
        else:
            lines.append(item)
    return lines


class Bar:
    """`total` steps of something called `title`. Under the bar stand the numbers that `tell` was given last."""

    def __init__(self, title: str, total: int) -> None:
        self.hidden = not on_terminal()
        self.bar = self._bar(total=total, desc=title, unit="update", bar_format=FORM)
        self.lines: List[tqdm] = []

    def _bar(self, **options) -> tqdm:
        return tqdm(file=sys.stderr, disable=self.hidden, leave=False, **size(), **options)

    def advance(self) -> None:
        """One step is done."""
        self.bar.update()

    def tell(self, place: str, numbers: Mapping[str, float]) -> None:
        """Show a few words in the bar's own line, and numbers below it."""
        if self.hidden:
            return
        self.bar.set_postfix_str(place)
        lines = wrapped(numbers, size()["ncols"])
        while len(self.lines) < len(lines):
            self.lines.append(self._bar(total=0, bar_format="{desc}", position=len(self.lines) + 1))
        for number, line in enumerate(self.lines):
            line.set_description_str(lines[number] if number < len(lines) else "")

    def close(self) -> None:
        """Take it off the terminal."""
        for line in (*reversed(self.lines), self.bar):
            line.close()
