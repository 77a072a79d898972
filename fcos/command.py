"""Find objects in images with a published FCOS: the command `fcos` that pip installs.

    fcos photo.jpg
    fcos folder/ --model FCOS_imprv_R_50_FPN_1x.pth --out found --thresh scores.json

Prints a line for every object; pictures, a page and COCO json go to --out. No window is opened and nothing is fetched:
--model names a file or a published model, whose file is looked for in ./model.
Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator, Optional, Sequence

from fullconv.fcos.demo import FCOSDemo
from fullconv.lib.experiment import demo


class Command(FCOSDemo):
    """The demo with the lines of the original's command, and its model."""

    title = "FCOS"
    default_model = "fcos_syncbn_bs32_c128_MNV2_FPN_1x"
    default_out = "fcos_output"
    default_json = "detections.json"

    def lines(self, path: Path, words: str, seconds: float) -> Iterator[str]:
        """An object a line, best first; the original fails where there is none."""
        names = [self.classes[label] for label in self.found.labels]
        width = max(map(len, names), default=0)
        yield f"{path}:"
        for name, score, box in zip(names, self.found.scores, self.found.boxes):
            corners = " ".join(f"{side:.1f}" for side in box)
            yield f"{name:<{width}}    confidence: {score:.2f}    bbox: {corners}"
        if not names:
            yield words
        yield f"Predicted in {seconds:.2f} seconds."


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit code."""
    return demo.run(Command(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
