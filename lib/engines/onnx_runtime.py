"""Exported networks in onnxruntime: on processors, and on NVIDIA GPUs where its CUDA package is installed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Dict, List, Mapping

import numpy as np

from fullconv.lib.engines.network import Choice, EngineError, Model, check_batch, first_line, missing, source, threads

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxRuntime:
    """A `lib.engines.network.Network`. Raises EngineError: see `open_model`."""

    def __init__(self, model: Model, choice: Choice) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing("onnxruntime", "onnxruntime", error) from None
        providers = [CPU]
        if choice.gpu:
            there = onnxruntime.get_available_providers()
            if CUDA not in there:
                raise EngineError(
                    f"onnxruntime has no CUDA here, only {', '.join(there)}: pip install onnxruntime-gpu instead of "
                    "onnxruntime, or leave --gpus out"
                )
            providers = [CUDA, CPU]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=providers)
        except Exception as error:
            raise EngineError(f"{source(model)}: onnxruntime cannot read it: {first_line(error)}") from None
        self.inputs = {value.name: tuple(value.shape) for value in self.session.get_inputs()}
        self.output_names: List[str] = [value.name for value in self.session.get_outputs()]
        # One at a time, in order, each with all threads; whoever called goes on meanwhile.
        self.queue = ThreadPoolExecutor(1)

    def start(self, batch: Mapping[str, np.ndarray]) -> Future:
        """Queue a forward pass. Raises EngineError: arrays that the network does not take."""
        check_batch(batch, self.inputs)
        feed = {name: np.ascontiguousarray(batch[name], np.float32) for name in self.inputs}
        return self.queue.submit(self.session.run, None, feed)

    def finish(self, started: Future) -> Dict[str, np.ndarray]:
        """Wait for what `start` returned. Raises EngineError: it failed."""
        try:
            return dict(zip(self.output_names, started.result()))
        except Exception as error:
            raise EngineError(f"onnxruntime failed: {first_line(error)}") from None
