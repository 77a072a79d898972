"""ImageNet weights of MobileNetV2 without batch norms, for the FCOS body that has them.

Files hold `<conv>.weight` (O, I / groups, h, w) and `<conv>.bias` (O,) by the names of the `state_dict`, every batch
norm folded into the convolution before it. Unfolded here so that a network at rest computes the same: scale 1, shift =
bias, mean 0, variance 1 - eps. That is right where the batch norms are frozen. Where they train, the first batch would
rescale every channel; measure mean and variance of each convolution first, and set scale and shift to undo them.
"""

from __future__ import annotations

import io
import re
import tokenize
import zipfile
import zlib
from typing import Dict, List, Mapping

import numpy as np

from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.mapped import instead, open_mapped

BODY = re.compile(r"(features\.(\d+)\.(?:conv\.)?)(\d+)\.(weight|bias)")
BLOCKS = 18
"""The FCOS body is features 0 to 17; the ImageNet network's last 1x1 convolution and classifier are not in it."""

EPSILON = 1e-5
# Small files may unpack to more than four times their size; arrays hardly shrink when they are packed.
SPARE, MAX_HEADER = 16 << 20, 1000
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA takes as much memory as a file tells it to


def unfold(arrays: Mapping[str, np.ndarray], eps: float = EPSILON) -> Dict[str, np.ndarray]:
    """The body's arrays by `state_dict` name, from convolutions that hold their batch norms.

    eps: of the batch norms. A convolution `features.2.conv.3` is followed by the batch norm `features.2.conv.4`.

    Raises:
        ConvertError: no such arrays, a bias without its weight, or the batch norms are there already.
    """
    result: Dict[str, np.ndarray] = {}
    if any(name.endswith((".running_mean", ".running_var")) for name in arrays):
        raise ConvertError("this MobileNetV2 has its batch norms; its arrays can be used as they are")
    for name, array in arrays.items():
        found = BODY.fullmatch(name)
        if not found or int(found.group(2)) >= BLOCKS:
            continue
        stem, _, index, part = found.groups()
        if part == "weight":
            result[name] = array
            continue
        if f"{stem}{index}.weight" not in arrays:
            raise ConvertError(f"{name} has no weight; the file is not whole")
        norm = f"{stem}{int(index) + 1}"
        one = np.ones_like(array)
        # 1 - eps: the batch norm divides by sqrt(variance + eps), which is then 1.
        rest = {"weight": one, "bias": array, "running_mean": 0 * one, "running_var": one * array.dtype.type(1 - eps)}
        result.update({f"{norm}.{part}": value for part, value in rest.items()})
    if not result:
        raise ConvertError("no features.*.weight among the arrays: this is no MobileNetV2")
    return result


def read_npz(path: str) -> Dict[str, np.ndarray]:
    """Arrays of an `.npz` file, never unpickled, and never more than four times the file and 16 MB.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: foreign, damaged, too large once unpacked, or holding Python objects.
    """
    data = open_mapped(path)
    if data[:2] != b"PK":
        raise ConvertError(f"{path}: no npz file: {instead(data)}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, len(data))
            return {member.filename[: -len(".npy")]: _array(archive.read(member)) for member in members}
    except (ValueError, SyntaxError, RecursionError, MemoryError, NotImplementedError, RuntimeError) as error:
        raise ConvertError(f"{path}: no npz file that can be read: {str(error)[:300]}; fetch it again") from None
    except (zipfile.BadZipFile, zlib.error, tokenize.TokenError, EOFError, OSError) as error:
        raise ConvertError(f"{path}: damaged: {str(error)[:300]}; fetch it again") from None


def _check_members(members: List[zipfile.ZipInfo], size: int) -> None:
    """Sizes first: zipfile makes room for what its directory says."""
    packed, unpacked = sum(m.compress_size for m in members), sum(m.file_size for m in members)
    if packed > size or unpacked > 4 * size + SPARE or len(members) > 10_000:
        raise ValueError(f"{len(members)} members of {packed} bytes that unpack to {unpacked} bytes")
    if any(member.compress_type not in PACKED for member in members):
        raise ValueError("a compression that numpy never uses")


def _array(content: bytes) -> np.ndarray:
    """numpy's own reader makes room for what a header says before it looks how much there is.

    A header is Python source of some 100 bytes; the parser of a long, deeply nested one can end the whole process.
    """
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of version {version}")
    if int.from_bytes(content[8 : 10 if version == (1, 0) else 12], "little") > MAX_HEADER:
        raise ValueError(f"an array with a header of more than {MAX_HEADER} bytes")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    # A copy, as what frombuffer makes cannot be written to.
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C").copy("C")
