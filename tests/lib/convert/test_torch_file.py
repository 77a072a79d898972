"""`.pth` files of both forms: every type, views, shared storages, and what is said about files that are none."""

from __future__ import annotations

import pickle
import struct

import numpy as np
import pytest

from fullconv.lib.convert import torch_file, torch_writer
from fullconv.lib.convert.errors import ConvertError

STORAGES = {
    "Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1",
    "Bool": "?",
}  # fmt: skip


class Files:
    """Writes one pickle and its storages in both forms, and reads them."""

    def __init__(self, folder, torch_bytes):
        self.folder, self.make = folder, torch_bytes

    def write(self, pickled, **storages):
        """storages: key -> array. Yields the two paths."""
        zipped = {key: array.tobytes() for key, array in storages.items()}
        legacy = {key: (len(array), array.tobytes()) for key, array in storages.items()}
        contents = {"new.pth": self.make.zipped(pickled, zipped), "old.pth": self.make.legacy(pickled, legacy)}
        for name, content in contents.items():
            (self.folder / name).write_bytes(content)
            yield self.folder / name

    def read(self, pickled, **storages):
        """What the file's dict holds, which has to be the same in both forms."""
        new, old = (torch_file.read(str(path)) for path in self.write(pickled, **storages))
        assert list(new) == list(old)
        for name, array in new.items():
            np.testing.assert_array_equal(array, old[name])
            assert array.dtype == old[name].dtype
        return new

    def refuse(self, pickled, match, **storages):
        """Both forms are refused, with the file's name."""
        for path in self.write(pickled, **storages):
            with pytest.raises(ConvertError, match=match) as caught:
                torch_file.read(str(path))
            assert str(path) in str(caught.value)


@pytest.fixture
def files(tmp_path, torch_bytes):
    return Files(tmp_path, torch_bytes)


@pytest.fixture
def tensor(torch_bytes):
    """`tensor(offset, shape, strides, count, kind, key)` is the opcodes of a tensor."""

    def opcodes(offset, shape, strides, count=12, kind="FloatStorage", key="0"):
        return torch_bytes.tensor(torch_bytes.storage(kind, key, count), offset, shape, strides)

    return opcodes


@pytest.mark.parametrize("kind", STORAGES)
def test_every_type(files, tensor, torch_bytes, kind):
    array = np.array([0, 1, 1, 0, 100, 3]).astype(STORAGES[kind])
    opcodes = torch_bytes.model(a=tensor(0, (2, 3), (3, 1), 6, f"{kind}Storage"))
    got = files.read(opcodes, **{"0": array})["a"]
    np.testing.assert_array_equal(got, array.reshape(2, 3))
    assert got.dtype == STORAGES[kind]


def test_bfloat16_is_the_upper_half_of_float32(files, tensor, torch_bytes):
    exact = np.array([1, -2.5, 3.0e38, 0, 1 / 128, np.inf], "f4")
    halves = (exact.view("u4") >> 16).astype("u2")
    expected = (halves.astype("u4") << 16).view("f4")
    got = files.read(torch_bytes.model(a=tensor(0, (6,), (1,), 6, "BFloat16Storage")), **{"0": halves})["a"]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.float32


def test_bools_are_0_or_1(files, tensor, torch_bytes):
    raw = np.array([0, 1, 2, 255], "u1")
    got = files.read(torch_bytes.model(a=tensor(0, (4,), (1,), 4, "BoolStorage")), **{"0": raw})["a"]
    assert got.view("u1").tolist() == [0, 1, 1, 1]


def test_views_share_their_storage(files, tensor, torch_bytes):
    numbers = np.arange(12, dtype="f4")
    opcodes = torch_bytes.model(
        whole=tensor(0, (3, 4), (4, 1)), transposed=tensor(0, (4, 3), (1, 4)), part=tensor(5, (2, 2), (4, 2)),
        scalar=tensor(7, (), ()), empty=tensor(12, (0, 4), (4, 1)), expanded=tensor(2, (5,), (0,)),
    )  # fmt: skip
    got = files.read(opcodes, **{"0": numbers})
    grid = numbers.reshape(3, 4)
    np.testing.assert_array_equal(got["whole"], grid)
    np.testing.assert_array_equal(got["transposed"], grid.T)
    np.testing.assert_array_equal(got["part"], [[5, 7], [9, 11]])
    np.testing.assert_array_equal(got["expanded"], np.full(5, 2))
    assert got["scalar"].shape == () and got["scalar"] == 7 and got["empty"].shape == (0, 4)
    assert np.shares_memory(got["whole"], got["transposed"])


def test_parameters_and_the_oldest_tensors_and_storage_views(files, torch_bytes):
    part = b"(X\x01\0\0\0vK\x04K\x03t"  # a storage that is numbers 4 to 6 of another
    storage = torch_bytes.storage("FloatStorage", "0", 12, part)
    inner = torch_bytes.tensor(storage, 1, (2,), (1,))
    oldest = (
        b"ctorch._utils\n_rebuild_tensor\n(" + torch_bytes.storage("FloatStorage", "0", 12) + b"K\x00(K\x02t(K\x01ttR"
    )
    opcodes = torch_bytes.model(a=b"ctorch._utils\n_rebuild_parameter\n(" + inner + b"\x88}tR", b=oldest)
    got = files.read(opcodes, **{"0": np.arange(12, dtype="f4")})
    assert got["a"].tolist() == [5, 6] and got["b"].tolist() == [0, 1]


def test_other_values_beside_the_tensors(files, torch_bytes, tensor):
    body = pickle.dumps({"epoch": 7, "lr": [0.1, 0.2], "size": (1, 2)}, 2)[2:-1]
    opcodes = b"\x80\x02}(X\x05\0\0\0modelX\x01\0\0\0w".replace(b"X\x01\0\0\0w", b"") + tensor(0, (12,), (1,))
    opcodes += b"X\x05\0\0\0state" + body + b"u."
    for path in files.write(opcodes, **{"0": np.ones(12, "f4")}):
        value = torch_file.read(str(path))
        assert value["state"] == {"epoch": 7, "lr": [0.1, 0.2], "size": (1, 2)} and value["model"].sum() == 12


BAD_VIEWS = {
    "beyond the end": (0, (13,), (1,)),
    "offset beyond the end": (12, (1,), (1,)),
    "strides beyond the end": (0, (3, 4), (5, 1)),
    "negative offset": (-1, (2,), (1,)),
    "negative stride": (11, (12,), (-1,)),
    "negative length": (0, (-2,), (1,)),
    "huge length": (0, (2**62, 2**62), (0, 0)),
    "expanded to a terabyte": (0, (2**20, 2**18), (0, 0)),
    "fewer strides": (0, (3, 4), (4,)),
    "no tuple": (0, [3, 4], (4, 1)),
    "NaN": (0, (float("nan"),), (1,)),
    "NaN offset": (float("nan"), (3,), (1,)),
    "bool": (0, (True,), (1,)),
    "many dimensions": (0, (1,) * 40, (1,) * 40),
}


@pytest.mark.parametrize("case", BAD_VIEWS)
def test_views_that_leave_their_storage(files, tensor, torch_bytes, case):
    opcodes = torch_bytes.model(a=tensor(*BAD_VIEWS[case]))
    files.refuse(opcodes, "a tensor of shape|twice as large", **{"0": np.ones(12, "f4")})


def test_storages_that_are_not_what_their_tensors_say(files, tensor, torch_bytes):
    one = {"0": np.ones(12, "f4")}
    files.refuse(torch_bytes.model(a=tensor(0, (3,), (1,), 11)), "damaged", **one)
    files.refuse(torch_bytes.model(a=tensor(0, (3,), (1,), 2**31 - 1)), "damaged", **one)
    files.refuse(torch_bytes.model(a=tensor(0, (3,), (1,), -1)), "no storage", **one)
    files.refuse(torch_bytes.model(a=tensor(0, (3,), (1,), key="1")), "damaged", **one)
    both = torch_bytes.model(a=tensor(0, (3,), (1,)), b=tensor(0, (3,), (1,), 12, "IntStorage"))
    files.refuse(both, "is 12 numbers of FloatStorage", **one)
    view = torch_bytes.storage("FloatStorage", "0", 12, b"(X\x01\0\0\0vK\x0aK\x03t")
    files.refuse(torch_bytes.model(a=torch_bytes.tensor(view, 0, (1,), (1,))), "a view", **one)


def test_a_tensor_cannot_be_the_whole_of_a_storage_it_does_not_have(files, torch_bytes):
    files.refuse(
        b"\x80\x02" + torch_bytes.storage("FloatStorage", "0", 2) + b".", "a storage", **{"0": np.ones(2, "f4")}
    )


# ----------------------------------------------------------------------------------------------- foreign files


FOREIGN = {
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "web page": (b"\n<!DOCTYPE html><html>", "web page"),
    "gzip": (b"\x1f\x8b\x08\0\0", "gzip"),
    "hdf5": (b"\x89HDF\r\n", "HDF5"),
    "pickle": (pickle.dumps({"conv1_w": 1}, 2), "let its name end in .pkl"),
    "params": (struct.pack("<QQQ", 0x112, 0, 0), r"\.params"),
    "safetensors": (struct.pack("<Q", 2) + b'{"a":0}', r"\.safetensors"),
    "tar": (b"\0" * 257 + b"ustar\0" + b"\0" * 300, "tar archive"),
    "text": (b"hello", "starts with b'hello'"),
    "empty": (b"", "empty"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "empty zip"),
    "half a zip": (b"PK\x03\x04" + bytes(40), "truncated"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_files_are_told_apart(tmp_path, case):
    content, match = FOREIGN[case]
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(ConvertError, match=match) as caught:
        torch_file.read(str(path))
    assert str(path) in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        torch_file.read(str(tmp_path / "absent.pth"))


def test_archives_that_are_no_checkpoints(tmp_path, torch_bytes):
    model = torch_bytes.model()
    cases = {
        "TorchScript": torch_bytes.zipped(
            model, extra={"archive/constants.pkl": b"", "archive/code/__torch__.py": b""}
        ),
        "zip archive with 2": torch_bytes.zipped(model, extra={"other/data.pkl": model}),
        "byte order b'middle'": torch_bytes.zipped(model, extra={"archive/byteorder": b"middle"}),
        "bytes follow the end of data.pkl": torch_bytes.zipped(model + b"more"),
    }
    for match, content in cases.items():
        (tmp_path / "model.pth").write_bytes(content)
        with pytest.raises(ConvertError, match=match):
            torch_file.read(str(tmp_path / "model.pth"))


def test_heads_of_the_older_form(tmp_path, torch_bytes):
    good = torch_bytes.legacy(torch_bytes.model())
    assert good.count(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.") == 1  # the magic number as every such file has it
    cases = {
        "order other than little endian": torch_bytes.legacy(torch_bytes.model(), little=False),
        "protocol 1002": good.replace(pickle.dumps(1001, 2), pickle.dumps(1002, 2), 1),
        "3 bytes follow": good + b"end",
        "list of storages": torch_bytes.legacy(torch_bytes.model(), {"5": (0, b"")}),
    }
    for match, content in cases.items():
        (tmp_path / "model.pth").write_bytes(content)
        with pytest.raises(ConvertError, match=match):
            torch_file.read(str(tmp_path / "model.pth"))


def test_big_endian_archives(tmp_path, torch_bytes, tensor):
    path = tmp_path / "model.pth"
    numbers = np.arange(12, dtype=">f4")
    opcodes = torch_bytes.model(a=tensor(0, (12,), (1,)))
    path.write_bytes(torch_bytes.zipped(opcodes, {"0": numbers.tobytes()}, {"archive/byteorder": b"big"}))
    np.testing.assert_array_equal(torch_file.read(str(path))["a"], numbers)


def test_truncated_anywhere(files, tensor, torch_bytes):
    opcodes = torch_bytes.model(a=tensor(0, (3, 4), (4, 1)), b=tensor(0, (2,), (1,), 2, "LongStorage", "1"))
    for path in list(files.write(opcodes, **{"0": np.ones(12, "f4"), "1": np.ones(2, "i8")})):
        content = path.read_bytes()
        for end in range(len(content)):
            path.write_bytes(content[:end])
            with pytest.raises(ConvertError):
                torch_file.read(str(path))


# ----------------------------------------------------------------------------------------------------- writing


def test_what_is_written_is_read(tmp_path, arrays):
    path = str(tmp_path / "model.pth")
    more = {**arrays, "scalar": np.array(5), "empty": np.zeros((0, 3), "f4"), "turned": np.arange(6.0).reshape(2, 3).T}
    torch_writer.write(path, more)
    got = torch_file.read(path)["model"]
    assert list(got) == list(more)
    for name, array in more.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype and got[name].shape == array.shape


def test_pytorch_reads_what_is_written(tmp_path, arrays):
    torch = pytest.importorskip("torch", reason="PyTorch is not needed and not installed")
    path = str(tmp_path / "model.pth")
    more = {**arrays, "scalar": np.array(5), "empty": np.zeros((0, 3), "f4"), "turned": np.arange(6.0).reshape(2, 3).T}
    torch_writer.write(path, more)
    got = torch.load(path, weights_only=True)["model"]
    assert list(got) == list(more)
    for name, array in more.items():
        assert torch.equal(got[name], torch.from_numpy(array.copy()))


@pytest.mark.parametrize("legacy", [True, False])
def test_what_pytorch_writes_is_read(tmp_path, legacy):
    torch = pytest.importorskip("torch", reason="PyTorch is not needed and not installed")
    path = str(tmp_path / "model.pth")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    content = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "iteration": 5,
        "net": list(net.parameters()),
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    got = torch_file.read(path)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(got["model"][name], array.numpy())
    assert got["iteration"] == 5 and got["optimizer"]["param_groups"][0]["lr"] == 0.1
    momentum = optimizer.state_dict()["state"][0]["momentum_buffer"].numpy()
    np.testing.assert_array_equal(got["optimizer"]["state"][0]["momentum_buffer"], momentum)


@pytest.mark.parametrize("array", [np.array(["a"]), np.zeros(2, "c8"), np.zeros(2, "u4"), np.array([None])])
def test_types_pytorch_lacks_are_not_written(tmp_path, array):
    path = tmp_path / "model.pth"
    path.write_bytes(b"before")
    with pytest.raises(ConvertError, match="which PyTorch lacks"):
        torch_writer.write(str(path), {"a": array})
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConvertError, match="cannot be written: .*nothing was left behind"):
        torch_writer.write(str(tmp_path / "absent" / "model.pth"), {"a": np.ones(2)})
