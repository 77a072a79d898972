"""Find objects in images with a trained FCOS: pictures, a page to look at them, and COCO json.

    python fcos/demo.py photo.jpg folder/ --out output/demo --json detections.json

Without --model the published fcos_imprv_R_50_FPN_1x is looked for in ./model, without images those in ./demo are taken.
Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, Python would look for modules beside it, and find fcos/test.py
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.fcos import exported  # noqa: E402
from fullconv.fcos.preprocess import check_size  # noqa: E402
from fullconv.fcos.published import ENDINGS, find, settings  # noqa: E402
from fullconv.lib.experiment import demo  # noqa: E402
from fullconv.lib.experiment.config import parse_overrides  # noqa: E402
from fullconv.lib.experiment.detection_demo import DetectionDemo  # noqa: E402
from fullconv.lib.experiment.model_file import EXPORTED, ModelFile  # noqa: E402


class FCOSDemo(DetectionDemo):
    """Objects with their boxes."""

    title = "FCOS demo"
    default_model = "fcos_imprv_R_50_FPN_1x"

    def find(self) -> ModelFile:
        """As all demos do, and by the names of the published models."""
        return find(self.args.model, self.args.epoch, (*ENDINGS, EXPORTED))

    def load(self, paths: Sequence[Path]) -> None:
        """The network with its weights, and its class names."""
        args, model = self.args, self.model
        if model.exported:
            detector, names = exported.load(model.path, self.choice())
        else:
            # An exported network runs where MXNet is not installed, which these import.
            from fullconv.fcos import config as fcos_config
            from fullconv.fcos.model import class_names, load_detectors

            self.config = fcos_config.load(args.cfg or settings(model), parse_overrides(args.set))
            names = class_names(model.path, model.prefix)
            (detector,) = load_detectors(self.config, model.path, len(names) + 1, [self.context()], self.choice())
        self.name_classes(names)
        self.detector, self.images = detector, detector.images

    def devices(self) -> Tuple[str, str]:
        """Those of the configuration."""
        return self.config.RUN.gpus, self.config.RUN.devices

    def check(self, image: np.ndarray, path: Path) -> None:
        """Not too long and thin."""
        check_size(image.shape[:2], self.images, str(path))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; returns the exit code."""
    return demo.run(FCOSDemo(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
