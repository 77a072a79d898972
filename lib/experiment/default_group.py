"""The keys of machine and reporting as FCIS's original has them, for the methods whose configuration has that form.

A method may call them what it likes: it makes its own Settings then, and names its own keys in its Method.
"""

from __future__ import annotations

from easydict import EasyDict

from fullconv.lib.experiment.settings import Settings

KEYS = ("default.frequent", "gpus", "default.devices")
"""What `lib.experiment.command_line.Method` asks for: the keys of --frequent, --gpus and --devices."""


def default_group(kvstore: str) -> EasyDict:
    """The group `default` of methods whose configuration has the form of FCIS's; the first two keys are its own."""
    group = EasyDict()
    group.frequent = 20  # updates between two log lines
    group.kvstore = kvstore  # what sums gradients: local or device; mpi for several processes
    # ours
    group.devices = ""  # instead of gpus: "cpu", "cpu:2" (two devices on one processor), "gpu:0,1"
    group.num_workers = 2  # threads that read images
    add_run_keys(group)
    return group


def add_run_keys(group: EasyDict) -> None:
    """The keys about images and files of a run that no original has, named as in Settings, added to a group."""
    group.loader_timeout = 30.0  # seconds after which an image that does not come ends the run; 0 waits for ever
    group.bad_images = "fail"  # training images that cannot be read end the run; skip: leave them out
    group.bad_images_limit = 0.001  # skip: share of the images that may be left out
    group.engine = "mxnet"  # what computes the network in testing; or onnxruntime, openvino
    group.precision = "fp32"  # of it; or bf16, with openvino
    group.tensorboard = False  # also write TensorBoard event files
    group.checkpoint_keep = 0  # newest checkpoints to keep; 0 keeps all


def from_default_group(config: EasyDict) -> Settings:
    """Settings of a configuration with `output_path`, `gpus`, `TRAIN.seed` and a `default_group`."""
    return Settings(output_path=config.output_path, seed=config.TRAIN.seed, gpus=config.gpus, **config.default)
