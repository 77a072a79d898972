"""Propose segments in images with a trained InstanceFCN: pictures of the best, of the maps behind them, and json.

    python instancefcn/demo.py photo.jpg folder/ --out output/demo --json proposals.json

Three pictures of each image: its best proposals; the objectness of every place (Fig. 5 of the paper); the score maps
of all relative positions, and the best windows assembled from them (Fig. 4).
Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be written.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, Python would look for modules beside it, and find instancefcn/test.py
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.instancefcn import assembly  # noqa: E402
from fullconv.instancefcn import config as instancefcn_config  # noqa: E402
from fullconv.instancefcn.preprocess import check_size, padded, resized_size  # noqa: E402
from fullconv.instancefcn.symbols.spec import DEEPMASK  # noqa: E402
from fullconv.instancefcn.tester import Detector, assembled  # noqa: E402
from fullconv.lib.core import checkpoint  # noqa: E402
from fullconv.lib.experiment import demo  # noqa: E402
from fullconv.lib.experiment.config import parse_overrides  # noqa: E402
from fullconv.lib.mask.instance_proposals import Proposals, ScaleMaps  # noqa: E402
from fullconv.lib.utils import atomic  # noqa: E402
from fullconv.lib.utils.sigmoid import sigmoid  # noqa: E402
from fullconv.lib.visualize.heat import heat, over, tiles  # noqa: E402
from fullconv.lib.visualize.instances import draw_instances, with_caption  # noqa: E402
from fullconv.lib.visualize.page import Picture  # noqa: E402

DEFAULT_CFG = ROOT / "experiments" / "instancefcn" / "cfgs" / "voc_instancefcn_k5.yaml"
ADVICE = """\
  train one: python experiments/instancefcn/instancefcn_end2end_train_test.py --cfg \
experiments/instancefcn/cfgs/shapes_instancefcn.yaml
  then:      python instancefcn/demo.py IMAGE --model output/instancefcn/shapes/shapes_instancefcn/train/model"""

ASSEMBLED = 8
"""Windows that are shown as they were assembled."""


class InstanceFCNDemo(demo.Demo):
    """The best segments, and what they are made of."""

    title = "InstanceFCN demo"
    default_model = "model/instancefcn_voc"
    advice = ADVICE

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options of proposals."""
        options.add_argument("--top", type=int, default=10, help="proposals to draw (default: 10)")
        options.add_argument("--no-maps", action="store_true", help="only the picture with proposals")

    def load(self, paths: Sequence[Path]) -> None:
        """The network with its weights."""
        args, model = self.args, self.model
        if args.top < 1:
            raise ValueError(f"--top is {args.top}: draw at least 1 proposal")
        params = checkpoint.load_file(model.path)
        self.config = instancefcn_config.load(args.cfg or model.config or str(DEFAULT_CFG), parse_overrides(args.set))
        self.images = assembly.input_spec(self.config)
        self.network = assembly.network_spec(self.config)
        # Bound for one image of the usual shape; others only take memory of their own.
        largest = padded(resized_size((480, 640), max(self.images.scales), self.images), self.images.stride)
        parts = self.network, self.images, assembly.result_spec(self.config), params
        self.detector = Detector(*parts, self.context(), largest, model.path)
        self.found: List[Dict[str, Any]] = []
        self.files: List[Dict[str, Any]] = []

    def devices(self) -> Tuple[str, str]:
        """Those of the configuration."""
        return self.config.gpus, self.config.default.devices

    def check(self, image: np.ndarray, path: Path) -> None:
        """Not too long and thin."""
        check_size(image.shape[:2], self.images, str(path))

    def results(self, image: np.ndarray, path: Path) -> Tuple[str, List[Picture]]:
        """The best proposals, and the maps that they come from."""
        maps = self.detector.maps(image)
        proposals, name = self.detector.propose(maps, (image.shape[0], image.shape[1])), self.name(path)
        best = proposals.first(self.args.top)
        words = f"{len(proposals)} proposals" + (f", the best with {best.scores[0]:.2f}" if len(best) else "")
        if self.args.json:
            self._add(name, image, proposals)
        masks = np.stack([best.mask(i) for i in range(len(best))]) if len(best) else None
        drawn = draw_instances(image, best.boxes, [""] * len(best), masks, best.scores)
        pictures = [Picture(name, drawn, words)]
        if not self.args.no_maps:
            pictures += self._maps(image, maps, best, name)
        return words, pictures

    def _maps(self, image: np.ndarray, maps: Sequence[ScaleMaps], best: Proposals, name: str) -> Iterator[Picture]:
        stem = Path(name).stem
        shown = [over(image, sigmoid(scale.objectness)) for scale in maps]
        captions = [f"short side {min(scale.size)}" for scale in maps]
        yield Picture(f"{stem}-objectness", tiles([with_caption(*pair) for pair in zip(shown, captions)]), "objectness")
        if self.network.head == DEEPMASK or not len(best):
            return
        # At the scale of the best proposal, which is where it can be seen.
        scale, _, _ = best.windows[0]
        scores = [over(image, sigmoid(one)) for one in maps[scale].score_maps]
        note = f"score maps of the {self.network.group} x {self.network.group} relative positions, {captions[scale]}"
        yield Picture(f"{stem}-scores", tiles(scores, self.network.group), note)
        windows = best.windows[best.windows[:, 0] == scale, 1:][:ASSEMBLED]
        instances = assembled(maps[scale].score_maps, self.network, windows)
        yield Picture(
            f"{stem}-instances", tiles([heat(one, 8) for one in instances], 4), f"assembled, {captions[scale]}"
        )

    def _add(self, name: str, image: np.ndarray, proposals: Proposals) -> None:
        number = len(self.files) + 1
        self.files.append({"id": number, "file_name": name, "height": image.shape[0], "width": image.shape[1]})
        for code, box, score in zip(proposals.codes(), proposals.boxes.tolist(), proposals.scores.tolist()):
            x1, y1, x2, y2 = box
            record = {"id": len(self.found) + 1, "image_id": number, "category_id": 1, "segmentation": code}
            self.found.append({**record, "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1], "score": score, "iscrowd": 0})

    def write(self) -> Iterator[str]:
        """The COCO file."""
        if self.args.json:
            Path(self.args.json).absolute().parent.mkdir(parents=True, exist_ok=True)
            categories = [{"id": 1, "name": "object"}]
            content = {"images": self.files, "categories": categories, "annotations": self.found}
            atomic.write_text(self.args.json, json.dumps(content) + "\n")
            yield f"{len(self.found)} proposals in {self.args.json}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; returns the exit code."""
    return demo.run(InstanceFCNDemo(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
