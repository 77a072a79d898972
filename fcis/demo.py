"""Find objects in images with a trained FCIS: pictures, a page to look at them, and COCO json.

    python fcis/demo.py photo.jpg folder/ --out output/demo --json detections.json
    python fcis/demo.py --video film.mp4 --out output/demo         # or --video 0, the first camera

Without --model the published COCO network is used. Without images, those in ./demo are taken.
Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, Python would look for modules beside it, and find fcis/test.py
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.fcis import exported  # noqa: E402
from fullconv.fcis.preprocess import check_elongation  # noqa: E402
from fullconv.fcis.tester import Detector  # noqa: E402
from fullconv.lib.experiment import demo  # noqa: E402
from fullconv.lib.experiment.detection_demo import DetectionDemo  # noqa: E402
from fullconv.lib.experiment.model_file import ModelFile  # noqa: E402

PUBLISHED_CFG = ROOT / "experiments" / "fcis" / "cfgs" / "fcis_coco_demo.yaml"
ADVICE = """\
  get one:   put the published fcis_coco-0000.params into model/ (README, Pretrained and published models)
  train one: python experiments/fcis/fcis_end2end_train_test.py --cfg \
experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml
  then:      python fcis/demo.py IMAGE --model output/fcis/shapes/resnet_small_shapes_fcis/train/e2e"""


class FCISDemo(DetectionDemo):
    """Objects with their masks."""

    detector: Detector

    title = "FCIS demo"
    default_model = "model/fcis_coco"
    endings = (".params", ".onnx")
    advice = ADVICE
    thresh = 0.7

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options of masks."""
        super().add_options(options)
        options.add_argument("--polygons", action="store_true", help="outlines instead of RLE in the json file")

    def load(self, paths: Sequence[Path]) -> None:
        """The network with its weights, and its class names."""
        if self.model.exported:
            self.detector, names = exported.load(self.model.path, self.choice())
        else:
            # An exported network runs where MXNet is not installed, which this imports.
            from fullconv.fcis import assembly, model

            cfg = configuration(self.args.cfg, self.model)
            self.config, names, trained = model.load(self.model, cfg, self.args.set)
            self.detector = trained.detector(assembly.result_spec(self.config), self.choice(), self.context())
        self.binary_thresh = self.detector.results.binary_thresh
        self.name_classes(names, self.args.polygons)

    def devices(self) -> Tuple[str, str]:
        """Those of the configuration."""
        return self.config.gpus, self.config.default.devices

    def check(self, image: np.ndarray, path: Path) -> None:
        """Not too long and thin."""
        check_elongation(image.shape[:2], self.detector.images.scales[:1], str(path))


def configuration(cfg: Optional[str], model: ModelFile) -> str:
    """The yaml file of a model: what is given, what training left, or the published one."""
    return cfg or model.config or str(PUBLISHED_CFG)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; returns the exit code."""
    return demo.run(FCISDemo(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
