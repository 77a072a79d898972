"""What a file of FCN weights is when a person names it: its network, its class names, its input. A published file says
none of it, so that it follows from the network's name."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence

from easydict import EasyDict

from fullconv.fcn import config as fcn_config
from fullconv.fcn.config import tested
from fullconv.fcn.convert import load_exactly
from fullconv.fcn.data import class_files
from fullconv.fcn.exported import ImageInput
from fullconv.fcn.model import Trained
from fullconv.fcn.preprocess import demo_mean
from fullconv.fcn.symbols import FCN, NETWORKS
from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.dataset.segmentation import nyud, siftflow
from fullconv.lib.dataset.voc_files import VOC_CLASSES
from fullconv.lib.experiment.class_file import class_file, read_classes
from fullconv.lib.experiment.config import parse_overrides
from fullconv.lib.experiment.model_file import ModelFile

FAMILIES = {"voc": "voc", "nyud": "nyud", "siftflow": "siftflow", "pascalcontext": "pascal_context"}
"""First word of a network's name -> the set it was published for."""
CLASSES = {
    "voc": {"label": ["background", *VOC_CLASSES]},
    "nyud": {"label": nyud.CLASSES},
    "siftflow": {"sem": siftflow.SEMANTIC, "geo": siftflow.GEOMETRIC},
}


class Found(NamedTuple):
    """A network with its weights. classes: names by label map."""

    config: EasyDict
    trained: Trained
    images: ImageInput
    classes: Dict[str, List[str]]


def load(model: ModelFile, cfg: Optional[str], overrides: Sequence[str], network: Optional[str]) -> Found:
    """The network of a file. cfg: yaml file; None: what training left beside the model, if anything. network: its name;
    None: from the configuration, else voc-fcn8s.

    Raises UsageError: no such network, or one that takes several images; others as `load_exactly`.
    """
    path = cfg or model.config
    config = fcn_config.load(path, parse_overrides(overrides))
    # A published file has no configuration beside it, so its data set follows from the network's name.
    name = network or (tested(config)[-1].symbol if path else "voc-fcn8s")
    if name not in NETWORKS:
        raise UsageError(f"--network {name}: known are {', '.join(NETWORKS)}")
    net, params = load_exactly(name, model.path)
    if len(net.network.inputs) > 1:
        forms = " and ".join(i.name for i in net.network.inputs)
        raise UsageError(f"{name} needs {forms} of one scene; use fcn_end2end_test.py, which reads them together")
    dataset = config.dataset.dataset if path else FAMILIES[name.split("-")[0]]
    (form,) = net.network.inputs
    mean = demo_mean(dataset, form.kind)
    images = ImageInput(form.name, form.kind, tuple(map(float, mean)), mean.dtype.itemsize == 8)
    return Found(config, Trained(net, params), images, class_names(net, name, model))


def class_names(net: FCN, name: str, model: ModelFile) -> Dict[str, List[str]]:
    """Per label map from the files beside the model, else the published ones, else numbers.

    Raises UsageError: a file that names another number of classes than the model scores.
    """
    published = CLASSES.get(name.split("-")[0], {})
    endings = class_files({head.label: [head.label] for head in net.heads})
    found = {}
    for ending, (label,) in endings.items():
        count = next(head.classes for head in net.heads if head.label == label)
        file, names = class_file(model.prefix, ending), read_classes(model.prefix, ending)
        if names and len(names) != count:
            raise UsageError(f"{file} names {len(names)} classes, the model scores {count}: correct it")
        if not names and len(published.get(label, ())) == count:
            names = list(published[label])
        elif not names:
            print(f"{file} is absent, so classes are numbered; write {count} names there, one per line")
            names = [f"class {k}" for k in range(count)]
        found[label] = names
    return found
