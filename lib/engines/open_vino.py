"""Exported networks in OpenVINO, also in bf16, which processors with AMX compute several times as fast."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

import numpy as np

from fullconv.lib.engines.network import (
    BF16,
    Choice,
    EngineError,
    Model,
    check_batch,
    first_line,
    missing,
    source,
    threads,
)
from fullconv.lib.export.onnx_format import read_head


class OpenVino:
    """A `lib.engines.network.Network`. Raises EngineError: see `open_model`."""

    def __init__(self, model: Model, choice: Choice) -> None:
        try:
            import openvino
        except ImportError as error:
            raise missing("openvino", "openvino", error) from None
        if choice.gpu:
            raise EngineError("engine openvino computes on processors: leave --gpus out, or add --engine onnxruntime")
        core = openvino.Core()
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if choice.precision == BF16 and "BF16" not in capabilities:
            raise EngineError(f"precision bf16: this processor has none ({', '.join(capabilities)}); leave it out")
        settings: Dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if choice.precision == BF16 else "f32"}
        if threads():
            settings["INFERENCE_NUM_THREADS"] = threads()
        _add_deformable(core)
        try:
            self.compiled = core.compile_model(core.read_model(model), "CPU", settings)
        except Exception as error:
            raise EngineError(f"{source(model)}: OpenVINO cannot read it: {first_line(error)}") from None
        self.inputs = {value.any_name: _shape(value.partial_shape) for value in self.compiled.inputs}
        # A tensor may have several names here, those of the operators that OpenVINO merged.
        wanted = read_head(model).outputs
        self.output_names: List[str] = [
            next(filter(value.names.__contains__, wanted)) for value in self.compiled.outputs
        ]

    def start(self, batch: Mapping[str, np.ndarray]) -> Any:
        """Queue a forward pass. Raises EngineError: arrays that the network does not take."""
        check_batch(batch, self.inputs)
        request = self.compiled.create_infer_request()
        feed = {name: np.ascontiguousarray(batch[name], np.float32) for name in self.inputs}
        try:
            request.start_async(feed)
        except Exception as error:
            raise EngineError(f"OpenVINO failed: {first_line(error)}") from None
        return request, feed  # which it may still read

    def finish(self, started: Tuple[Any, Any]) -> Dict[str, np.ndarray]:
        """Wait for what `start` returned. Raises EngineError: it failed."""
        request, _ = started
        try:
            request.wait()
            # Copies: the request's own memory goes with it.
            tensors = request.output_tensors
            return {name: np.array(tensor.data) for name, tensor in zip(self.output_names, tensors)}
        except Exception as error:
            raise EngineError(f"OpenVINO failed: {first_line(error)}") from None


def _among(wanted: Sequence[str], names: Set[str]) -> str:
    return next(name for name in wanted if name in names)


def _shape(partial: Any) -> Tuple[int, ...]:
    """Lengths, -1 where any will do."""
    return tuple(dim.get_length() if dim.is_static else -1 for dim in partial)


def _add_deformable(core: Any) -> None:
    """Teach OpenVINO's reader ONNX's DeformConv, which it computes but does not know by that name."""
    from openvino import opset8
    from openvino.frontend.onnx import ConversionExtension

    def convert(node: Any) -> Any:
        data, weight, offset, *rest = (node.get_input(i) for i in range(node.get_input_size()))
        pads = node.get_attribute("pads")
        result = opset8.deformable_convolution(
            data,
            offset,
            weight,
            list(node.get_attribute("strides")),
            list(pads[:2]),
            list(pads[2:]),
            list(node.get_attribute("dilations")),
            mask=rest[1] if len(rest) > 1 else None,
            auto_pad="EXPLICIT",
            group=node.get_attribute("group", 1),
            deformable_group=node.get_attribute("offset_group", 1),
            # Zeros around the map, as ours.
            bilinear_interpolation_pad=True,
        )
        if rest:
            result = opset8.add(result, opset8.reshape(rest[0], np.array([1, -1, 1, 1], np.int64), False))
        return result.outputs()

    core.add_extension(ConversionExtension("DeformConv", convert))
