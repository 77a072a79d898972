"""A whole test and training step of the published FCIS (ResNet-101, 600x1000): what is not convolution, and memory.

`python benchmarks/fcis_step.py` prints, from one run, the share of a test step (image to detections) spent outside the
convolutional maps, then the peak memory of a testing and of a training process. Weights are random: nothing here
depends on their values but the number of detections, which mask voting caps at 100.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine  # noqa: E402
from fullconv.fcis import assembly  # noqa: E402
from fullconv.fcis import config as fcis_config  # noqa: E402
from fullconv.fcis.model import Trained  # noqa: E402
from fullconv.fcis.preprocess import prepare_input  # noqa: E402
from fullconv.fcis.symbols.fcis import FCIS, LABEL_NAMES  # noqa: E402
from fullconv.lib.core.executors import ExecutorPool  # noqa: E402
from fullconv.lib.core.trainer import Trainer  # noqa: E402
from fullconv.lib.engines.network import Choice  # noqa: E402
from fullconv.lib.structures.entry import Entry  # noqa: E402

CFG = ROOT / "experiments/fcis/cfgs/resnet_v1_101_vocSDS_fcis_end2end.yaml"
CLASSES = 21


def published():
    """The published VOC configuration."""
    return fcis_config.load(str(CFG), ["dataset.NUM_CLASSES", str(CLASSES)])


def random_params(shapes):
    """Weights whose activations neither vanish nor explode, so that rois and scores are not degenerate."""
    random = np.random.RandomState(0)
    params = {}
    for name, shape in sorted(shapes.items()):
        values = np.zeros(shape, np.float32)
        if name.endswith("_weight"):
            values = random.randn(*shape).astype(np.float32) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("_gamma", "_moving_var")):
            values[:] = 0.5 if "branch2c_gamma" in name else 1
        params[name] = mx.nd.array(values)
    return params


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def test_step(rounds: int = 5) -> None:
    """Whole step against the maps alone, in turns."""
    config = published()
    shapes = {"data": (1, 3, 600, 1000), "im_info": (1, 3)}
    network = FCIS(assembly.network_spec(config, CLASSES))
    symbol = network.test_symbol(assembly.test_spec(config))
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    all_shapes = dict(zip(symbol.list_arguments(), arg_shapes))
    all_shapes.update(zip(symbol.list_auxiliary_states(), aux_shapes))
    params = random_params({n: s for n, s in all_shapes.items() if n not in shapes})
    images = assembly.input_spec(config)
    trained = Trained(network.network, assembly.test_spec(config), images, (params, params))
    detector = trained.detector(assembly.result_spec(config), Choice(), mx.cpu())
    image = np.random.RandomState(1).randint(0, 256, (600, 1000, 3)).astype(np.uint8)
    detector.detect(image)
    print(f"peak memory of testing: {peak_gib():.2f} GiB (wanted: 2.5 GB)", flush=True)

    maps = ExecutorPool(mx.sym.Group(list(network.maps())), mx.cpu(), {"data": shapes["data"]})
    for name, array in list(maps.params.items()) + list(maps.aux.items()):
        params[name].copyto(array)
    data = prepare_input(image, images, (600, 1000))[0][None]

    def convolutions() -> None:
        for output in maps.forward({"data": data}, is_train=False):
            output.wait_to_read()

    seconds = alternate({"step": lambda: detector.detect(image), "maps": convolutions}, rounds)
    rest = 1 - seconds["maps"] / seconds["step"]
    print(
        f"test step {seconds['step']:.2f} s, of it convolutional maps {seconds['maps']:.2f} s: "
        f"{100 * rest:.1f} % is not convolution (wanted: 10 %)"
    )


def training_step(steps: int = 2) -> None:
    """A few updates on random data."""
    config = published()
    symbol = FCIS(assembly.network_spec(config, CLASSES)).train_symbol(assembly.train_spec(config))
    entry = Entry("", 0, 600, 1000, np.zeros((8, 4)), np.ones(8))
    shapes = assembly.train_source(config, [entry], symbol).largest_shapes(1)
    trainer = Trainer(symbol, [mx.cpu()], shapes, config.network.FIXED_PARAMS)
    params = random_params(trainer.param_shapes())
    trainer.set_params(params, params)
    batch = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    batch["data"] = np.random.RandomState(1).randn(*shapes["data"]).astype(np.float32) * 50
    batch["im_info"][:] = [[600, 1000, 1]]
    batch["gt_boxes"][:] = [100, 100, 400, 400, 1]
    batch["gt_masks"][..., 100:400, 100:400] = 1
    batch[LABEL_NAMES[0]][:, ::100] = 1
    seconds = alternate({"update": lambda: (trainer.step([batch], 0.0), mx.nd.waitall())}, steps, warm_up=1)
    print(f"training step {seconds['update']:.2f} s; peak memory of training: {peak_gib():.2f} GiB (wanted: 8 GB)")


def main() -> None:
    """Each part in a process of its own, so that its peak memory is its own."""
    parts = {"test": test_step, "train": training_step}
    if len(sys.argv) > 1:
        parts[sys.argv[1]]()
        return
    print(f"{machine()}; {CFG.stem}, 600x1000")
    for part in parts:
        subprocess.run([sys.executable, __file__, part], check=True)


if __name__ == "__main__":
    main()
