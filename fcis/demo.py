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
from typing import Dict, Mapping, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, Python would look for modules beside it, and find fcis/test.py
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.fcis import assembly  # noqa: E402
from fullconv.fcis import config as fcis_config  # noqa: E402
from fullconv.fcis.preprocess import check_elongation  # noqa: E402
from fullconv.fcis.symbols.fcis import GROUP  # noqa: E402
from fullconv.fcis.tester import Detector  # noqa: E402
from fullconv.lib.core import checkpoint  # noqa: E402
from fullconv.lib.dataset.image_files import UsageError  # noqa: E402
from fullconv.lib.experiment import demo  # noqa: E402
from fullconv.lib.experiment.config import parse_overrides  # noqa: E402
from fullconv.lib.experiment.detection_demo import DetectionDemo  # noqa: E402
from fullconv.lib.experiment.model_classes import model_classes  # noqa: E402

PUBLISHED_CFG = ROOT / "experiments" / "fcis" / "cfgs" / "fcis_coco_demo.yaml"
ADVICE = """\
  get one:   put the published fcis_coco-0000.params into model/ (README, Pretrained and published models)
  train one: python experiments/fcis/fcis_end2end_train_test.py --cfg \
experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml
  then:      python fcis/demo.py IMAGE --model output/fcis/shapes/resnet_small_shapes_fcis/train/e2e"""


class FCISDemo(DetectionDemo):
    """Objects with their masks."""

    title = "FCIS demo"
    default_model = "model/fcis_coco"
    advice = ADVICE
    thresh = 0.7

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options of masks."""
        super().add_options(options)
        options.add_argument("--polygons", action="store_true", help="outlines instead of RLE in the json file")

    def load(self, paths: Sequence[Path]) -> None:
        """The network with its weights, and its class names.

        The box layer is taken as it was trained, not its `*_test` copy with the normalisation folded in: the network
        applies the normalisation itself, and the original's demo applied it twice.
        """
        args, model = self.args, self.model
        params = checkpoint.load_file(model.path)
        self.config = fcis_config.load(args.cfg or model.config or str(PUBLISHED_CFG), parse_overrides(args.set))
        names = class_names(model.prefix, params[0])
        self.binary_thresh = self.config.BINARY_THRESH
        self.name_classes(names, args.polygons)
        self.detector = Detector(
            assembly.network_spec(self.config, len(names) + 1),
            assembly.test_spec(self.config),
            assembly.input_spec(self.config),
            assembly.result_spec(self.config),
            params,
            self.context(),
            model.path,
        )

    def devices(self) -> Tuple[str, str]:
        """Those of the configuration."""
        return self.config.gpus, self.config.default.devices

    def check(self, image: np.ndarray, path: Path) -> None:
        """Not too long and thin."""
        check_elongation(image.shape[:2], self.config.SCALES[:1], str(path))


def class_names(prefix: str, params: Mapping) -> Dict[int, str]:
    """Category id -> name of the model's classes, see `model_classes`.

    Raises UsageError: no FCIS model, or classes.txt names another number of classes than it has.
    """
    if "fcis_cls_seg_bias" not in params:
        raise UsageError(f"{prefix}: no FCIS model, it has no fcis_cls_seg_bias; is it the pretrained backbone?")
    return model_classes(prefix, params["fcis_cls_seg_bias"].size // (2 * GROUP * GROUP) - 1)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; returns the exit code."""
    return demo.run(FCISDemo(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
