"""The published models by name: their settings, which are here, and their weights, which are looked for, not fetched.

The original calls a model `fcos_R_50_FPN_1x` and its file `FCOS_R_50_FPN_1x.pth`.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Sequence

from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.experiment.model_file import ModelFile, find_model

CONFIGS = Path(__file__).resolve().parents[1] / "experiments" / "fcos" / "cfgs"
ENDINGS = (".params", ".pth", ".safetensors")
FOLDER = "model"
"""Where weights of published models are looked for, from where a program is started."""
ADVICE = """\
  get one:   put a published FCOS_<name>.pth into model/ and name it, fcos_<name> or its path; nothing is fetched
             (names: fullconv.fcos.model.FCOS.list_available_models(); experiments/fcos/README.md, Weights)
  train one: python experiments/fcos/fcos_end2end_train_test.py --cfg experiments/fcos/cfgs/shapes_fcos.yaml
  then:      --model output/fcos/shapes/shapes_fcos/train/model"""


def names() -> List[str]:
    """The published models, `fcos_R_50_FPN_1x` and so on."""
    return sorted(path.stem for path in CONFIGS.glob("fcos_*.yaml"))


def weights_file(name: str) -> str:
    """`model/FCOS_R_50_FPN_1x.pth` of `fcos_R_50_FPN_1x`."""
    return str(Path(FOLDER) / f"FCOS_{name[len('fcos_') :]}.pth")


def list_available_models() -> List[str]:
    """Print the published models and whether their weights are there; returns the names."""
    found = names()
    for name in found:
        path = weights_file(name)
        print(f"{name:<42} {path}{'' if Path(path).is_file() else ' (not there)'}")
    return found


def find(model: str, epoch: Optional[int] = None, endings: Sequence[str] = ENDINGS) -> ModelFile:
    """The weights that `model` says: a file, a prefix of checkpoints, or the name of a published model.

    Raises UsageError: there are none.
    """
    return find_model(weights_file(model) if model in names() else model, epoch, endings, ADVICE)


def settings(model: ModelFile) -> str:
    """The yaml file of a model: what training left beside it, or for FCOS_<name>.pth the published fcos_<name>.yaml.

    Raises UsageError: neither; the settings of another would load without a word and find other boxes.
    """
    stem = Path(model.path).stem
    published = CONFIGS / f"fcos_{stem[len('FCOS_') :]}.yaml"
    if model.config:
        return model.config
    if stem.startswith("FCOS_") and published.is_file():
        return str(published)
    raise UsageError(
        f"{model.path}: no configuration: there is no {model.prefix}-config.yaml, and it is not called as a published "
        "model (FCOS_imprv_R_50_FPN_1x.pth); name the yaml with --cfg (cfg= in a program)"
    )
