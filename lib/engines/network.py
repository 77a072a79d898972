"""A network ready to compute, whatever computes it: the seam between networks and all that is made of their outputs."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Dict, Mapping, NamedTuple, Protocol, Tuple, Union

import numpy as np

MXNET, ONNXRUNTIME, OPENVINO = ENGINES = ("mxnet", "onnxruntime", "openvino")
FP32, BF16 = PRECISIONS = ("fp32", "bf16")


class EngineError(ValueError):
    """An engine that is not there, or cannot do what is asked of it; the text names it and the remedy."""


class Choice(NamedTuple):
    """What computes, and how precisely. gpu: on the first NVIDIA GPU."""

    engine: str = MXNET
    precision: str = FP32
    gpu: bool = False

    def determining(self) -> Dict[str, str]:
        """What results follow from; MXNet is not named, so that results from before there was a choice stay."""
        return {} if self.engine == MXNET else {"engine": self.engine, "precision": self.precision}


BY_MXNET = Choice()


class Network(Protocol):
    """`lib.core.predictor.Predictor`, or an exported file in one of the engines here."""

    def start(self, batch: Mapping[str, np.ndarray]) -> Any:
        """Queue a forward pass of arrays by the names of the inputs; does not wait for it."""
        ...

    def finish(self, started: Any) -> Dict[str, np.ndarray]:
        """Wait for what `start` returned; arrays by the names of the outputs."""
        ...


Model = Union[str, bytes]
"""Path of an ONNX file, or its content."""


def check_choice(choice: Choice) -> None:
    """Raises EngineError: no such engine or precision, or the two do not go together."""
    engine, precision, _ = choice
    if engine not in ENGINES:
        raise EngineError(f"engine {engine!r}: known are {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise EngineError(f"precision {precision!r}: known are {', '.join(PRECISIONS)}")
    if precision == BF16 and engine != OPENVINO:
        raise EngineError(f"precision bf16 with engine {engine}: only openvino computes in it; add --engine openvino")


def open_model(model: Model, choice: Choice) -> Network:
    """An exported network in an engine other than MXNet.

    Raises EngineError: the engine is not installed, cannot read the file, or lacks the precision or the device.
    """
    check_choice(choice)
    # Engines are imported when they are asked for: each is optional.
    if choice.engine == ONNXRUNTIME:
        from fullconv.lib.engines.onnx_runtime import OnnxRuntime

        return OnnxRuntime(model, choice)
    if choice.engine == OPENVINO:
        from fullconv.lib.engines.open_vino import OpenVino

        return OpenVino(model, choice)
    raise EngineError("engine mxnet computes checkpoints, not ONNX files: add --engine onnxruntime or openvino")


def first_installed() -> str:
    """The first engine that reads exported files and can be imported. Raises EngineError: none."""
    for engine in (ONNXRUNTIME, OPENVINO):
        if importlib.util.find_spec(engine) is not None:
            return engine
    raise EngineError("an exported network needs an engine: pip install onnxruntime, or openvino")


def missing(engine: str, package: str, error: ImportError) -> EngineError:
    """What to say when an engine cannot be imported."""
    return EngineError(f"engine {engine} is not installed ({error}): pip install {package}, or choose another --engine")


def threads() -> int:
    """Threads to compute with: what OMP_NUM_THREADS says, which `fullconv` sets to the cores; 0: the engine's own."""
    number = os.environ.get("OMP_NUM_THREADS", "").strip()
    return int(number) if number.isdigit() else 0


def check_batch(batch: Mapping[str, np.ndarray], inputs: Mapping[str, Tuple[Union[int, str, None], ...]]) -> None:
    """Raise EngineError where arrays do not fit the inputs of a model: shapes, in which only integers bind."""
    for name, shape in inputs.items():
        if name not in batch:
            raise EngineError(f"input {name} is missing; given are {', '.join(batch) or 'none'}")
        have = batch[name].shape
        bound = [dim if isinstance(dim, int) and dim > 0 else "*" for dim in shape]
        if len(have) != len(bound) or any(want not in ("*", size) for want, size in zip(bound, have)):
            wanted = ", ".join(map(str, bound))
            raise EngineError(f"input {name}: the exported network takes ({wanted}), this array is {have}")


def source(model: Model) -> str:
    """What to call a model in messages."""
    return model if isinstance(model, str) else "the exported network"


def first_line(error: BaseException) -> str:
    """The reason in an engine's error, on one line."""
    return " ".join(str(error).split())[:400]
