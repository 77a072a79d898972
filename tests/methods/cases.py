"""A training of seconds of every method: six pictures of the embedded set, two checkpoints of each network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from fullconv.lib.core import checkpoint

ROOT = Path(__file__).resolve().parents[2]


class Case(NamedTuple):
    """One method. output: the key of the output folder. data: keys that lead to the pictures, with `{folder}`. keys:
    what makes the run short. networks: names of checkpoints, in the order of their training. longer: keys of a run
    that does not end.
    """

    name: str
    cfg: str
    output: str
    data: Dict[str, str]
    keys: Dict[str, Any]
    networks: Tuple[str, ...]
    longer: Dict[str, Any]

    def command(self, folder: Path, output: Path, *options: str, **more: Any) -> List[str]:
        """The method's script with pictures in `folder` and results in `output`."""
        script = ROOT / "experiments" / self.name / f"{self.name}_end2end_train_test.py"
        cfg = ROOT / "experiments" / self.name / "cfgs" / self.cfg
        data = {key: value.format(folder=folder) for key, value in self.data.items()}
        keys = {self.output: output, **data, **self.keys, **more}
        pairs = [str(word) for pair in keys.items() for word in pair]
        return [sys.executable, str(script), "--cfg", str(cfg), "--frequent", "1", *options, "--set", *pairs]

    def prefix(self, output: Path, network: str) -> str:
        """Of the checkpoints of a network."""
        return str(output / Path(self.cfg).stem / "train6" / network)

    def arrays(self, output: Path, network: str) -> Dict[str, np.ndarray]:
        """Its last checkpoint."""
        args, aux = checkpoint.load_params(self.prefix(output, network), 2)
        return {name: array.asnumpy() for name, array in {**args, **aux}.items()}


FCIS = Case(
    "fcis",
    "resnet_small_shapes_fcis.yaml",
    "output_path",
    {"dataset.dataset_path": "{folder}/shapes", "dataset.root_path": "{folder}/data"},
    {
        "dataset.image_set": "train6",
        "dataset.test_image_set": "val1",
        "TRAIN.BATCH_IMAGES": 1,
        "TRAIN.end_epoch": 2,
        "TRAIN.lr_step": 1,
        "TEST.test_epoch": 0,
    },
    ("e2e",),
    {"TRAIN.end_epoch": 5000},
)
FCN = Case(
    "fcn",
    "shapes_fcn.yaml",
    "output_path",
    {"dataset.dataset_path": "{folder}/shapes"},
    {
        "default.devices": "cpu",
        "symbol": "voc-fcn32s,voc-fcn16s",
        "dataset.image_set": "train6",
        "dataset.test_image_set": "val1",
        "network.width": 0.0625,
        "network.hidden": 16,
        "network.dropout": 0.5,
        "network.norm": "false",
        "network.FIXED_PARAMS": "[]",
        "TRAIN.lr": "0.01,0.001",
        "TRAIN.max_iter": 4,
        "TRAIN.snapshot": 2,
        "TRAIN.BATCH_IMAGES": 1,
        "TRAIN.order": "shuffle",
        "TRAIN.warmup_step": 0,
        "TRAIN.optimizer": "sgd",
        "TRAIN.lr_policy": "step",
        "TRAIN.lr_step": 0.5,
    },
    ("voc-fcn32s", "voc-fcn16s"),
    {"TRAIN.max_iter": 40000, "TRAIN.snapshot": 20000},
)
FCOS = Case(
    "fcos",
    "shapes_fcos.yaml",
    "OUTPUT_DIR",
    {"DATA.root_path": "{folder}/data", "DATA.dataset_path": "{folder}/shapes"},
    {
        "DATASETS.TRAIN": "['train6']",
        "DATASETS.TEST": "['val1']",
        "INPUT.MIN_SIZE_TRAIN": "[64,80]",
        "INPUT.MIN_SIZE_TEST": 64,
        "MODEL.FCOS.NUM_CONVS": 1,
        "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 32,
        "SOLVER.OPTIMIZER": "torch_sgd",
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.MAX_ITER": 4,
        "SOLVER.CHECKPOINT_PERIOD": 2,
        "SOLVER.STEPS": "[3]",
    },
    ("model",),
    {"SOLVER.MAX_ITER": 40000, "SOLVER.CHECKPOINT_PERIOD": 20000},
)
CASES = (FCIS, FCN, FCOS)


def run(command: List[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """The script, waited for."""
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
