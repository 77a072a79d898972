"""A GPU's arrays for the tests, by torch or by cupy, whichever is installed."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np


class TorchDevice:
    """Arrays are torch tensors on the current CUDA device; kernels run on torch's current stream."""

    context = b"gpu"

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise RuntimeError("torch sees no CUDA device")
        self._torch = torch

    @property
    def stream(self) -> int:
        return self._torch.cuda.current_stream().cuda_stream

    def put(self, array: np.ndarray) -> Any:
        return self._torch.from_numpy(np.array(array)).cuda()

    def empty(self, shape: Sequence[int], dtype: Any = np.float32) -> Any:
        return self.put(np.full(tuple(shape), np.nan if np.dtype(dtype).kind == "f" else 0xAB, dtype))

    def pointer(self, array: Any) -> int:
        return array.data_ptr()

    def get(self, array: Any) -> np.ndarray:
        return array.cpu().numpy()


class CupyDevice:
    """Arrays are cupy's; kernels run on cupy's current stream."""

    context = b"gpu"

    def __init__(self) -> None:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
        self._cupy = cupy

    @property
    def stream(self) -> int:
        return self._cupy.cuda.get_current_stream().ptr

    def put(self, array: np.ndarray) -> Any:
        return self._cupy.asarray(np.ascontiguousarray(array))

    def empty(self, shape: Sequence[int], dtype: Any = np.float32) -> Any:
        return self.put(np.full(tuple(shape), np.nan if np.dtype(dtype).kind == "f" else 0xAB, dtype))

    def pointer(self, array: Any) -> int:
        return array.data.ptr

    def get(self, array: Any) -> np.ndarray:
        return self._cupy.asnumpy(array)


def find_gpu() -> Optional[Any]:
    """The first device that can be used, or None."""
    for kind in (TorchDevice, CupyDevice):
        try:
            return kind()
        except Exception:  # noqa: BLE001  (not installed, no driver, no device: each library has its own error)
            continue
    return None
