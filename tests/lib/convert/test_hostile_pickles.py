"""Pickles that want to run something, or to fill the memory: refused in every form of file, and nothing has run."""

from __future__ import annotations

import os
import pickle
import struct

import pytest

from fullconv.lib.convert import weights
from fullconv.lib.convert.errors import ConvertError

U4, U8 = "<I", "<Q"


def text(value: str) -> bytes:
    return b"X" + struct.pack(U4, len(value)) + value.encode()


def short(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


class Evil:
    """What Python's own pickler writes for an object that runs a command on loading."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
DTYPE = b"cnumpy\ndtype\nX\x02\0\0\0f4\x89\x88\x87R"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\x01btR"
ORDERED = b"ccollections\nOrderedDict\n"
BIG = 1_000_000
COLLIDING = [b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little") + b"N" for n in range(60_000)]
COLLIDING_FLOATS = [b"G" + struct.pack(">d", float(n << 60)) + b"N" for n in range(60_000)]
LATIN_AGAIN = b"c_codecs\nencode\n(h\0X\x06\0\0\0latin1tR"

RUNS = {
    "reduce_system": lambda c: b"cos\nsystem\n(" + text(c) + b"tR.",
    "reduce_posix_system": lambda c: b"cposix\nsystem\n(" + text(c) + b"tR.",
    "protocol_0": lambda c: pickle.dumps(Evil(c), 0),
    "protocol_1": lambda c: pickle.dumps(Evil(c), 1),
    "protocol_2": lambda c: pickle.dumps({"model": Evil(c)}, 2),
    "protocol_3": lambda c: pickle.dumps([Evil(c)], 3),
    "protocol_4_stack_global": lambda c: pickle.dumps(Evil(c), 4),
    "protocol_5": lambda c: pickle.dumps({"model": {"w": Evil(c)}}, 5),
    "eval": lambda c: b"cbuiltins\neval\n(" + text(f"__import__('os').system({c!r})") + b"tR.",
    "exec_python_2": lambda c: b"c__builtin__\nexec\n(" + text(f"import os; os.system({c!r})") + b"tR.",
    "import": lambda c: b"cbuiltins\n__import__\n(" + text("os") + b"tR.",
    "getattr": lambda c: b"cbuiltins\ngetattr\n(cos\nsystem\n" + text("__call__") + b"tR.",
    "inst": lambda c: b"(S" + repr(c).encode() + b"\nios\nsystem\n.",
    "inst_of_an_allowed_name": lambda c: b"(icollections\nOrderedDict\n.",
    "obj": lambda c: b"(cos\nsystem\n" + text(c) + b"o.",
    "obj_of_an_allowed_name": lambda c: b"(" + ORDERED + text(c) + b"o.",
    "newobj": lambda c: b"csubprocess\nPopen\n(" + text(c) + b"t\x81.",
    "newobj_ex": lambda c: b"\x80\x04csubprocess\nPopen\n(" + text(c) + b"t}\x92.",
    "newobj_of_an_allowed_name": lambda c: ORDERED + b")\x81.",
    "build_setstate": lambda c: b"cos\nenviron\n}" + text("__setstate__") + b"cos\nsystem\nsb" + text(c) + b"b.",
    "build_on_text": lambda c: text("target") + b"}b.",
    "build_on_a_global": lambda c: ORDERED + b"}" + text("__class__") + text(c) + b"sb.",
    "stack_global_dotted": lambda c: short("os") + short("path.os.system") + b"\x93(" + text(c) + b"tR.",
    "stack_global_attribute": lambda c: short("collections") + short("OrderedDict.__init__") + b"\x93.",
    "stack_global_no_text": lambda c: b"K\x01]\x93.",
    "stack_global_list": lambda c: b"]]\x93.",
    "global_through_torch": lambda c: b"ctorch\nos.system\n(" + text(c) + b"tR.",
    "global_of_torch_load": lambda c: b"ctorch\nload\n(" + text(c) + b"tR.",
    "global_nested_pickle": lambda c: b"ctorch.storage\n_load_from_bytes\n(C\x01.tR.",
    "global_pickle_loads": lambda c: b"c_pickle\nloads\n(C\x01.tR.",
    "global_numpy_load": lambda c: b"cnumpy\nload\n(" + text(c) + b"tR.",
    "global_without_end": lambda c: b"c" + b"a" * 5000,
    "ext_registry_1": lambda c: b"\x82\x01.",
    "ext_registry_2": lambda c: b"\x83\x01\x00.",
    "ext_registry_4": lambda c: b"\x84\x01\x00\x00\x00.",
    "call_of_text": lambda c: text("os.system") + b"(" + text(c) + b"tR.",
    "call_of_a_class": lambda c: b"ctorch\nFloatStorage\n)R.",
    "call_without_tuple": lambda c: ORDERED + b"]R.",
    "global_as_result": lambda c: b"}" + text("model") + ORDERED + b"s.",
    "hidden_in_a_popped_value": lambda c: b"cos\nsystem\n0}.",
    "hidden_in_the_memo": lambda c: b"cos\nsystem\nq\x000}.",
}

FILLS = {
    "memo_of_4_billion": b"Nr\xff\xff\xff\xff." + b"j\xfe\xff\xff\xff",
    "memo_get_of_nothing": b"h\x05.",
    "memo_negative": b"Np-5\n.g-6\n.",
    "text_memo_index_huge": b"Np" + b"9" * 5000 + b"\n.",
    "long4_huge": b"\x8b\xff\xff\xff\x7f\x01",
    "long4_negative": b"\x8b\xff\xff\xff\xff\x01",
    "long4_of_a_megabyte": b"\x8b" + struct.pack("<i", BIG) + b"\x7f" * BIG + b".",
    "long_text_of_a_megabyte": b"L" + b"9" * BIG + b"L\n.",
    "int_text_of_a_megabyte": b"I" + b"9" * BIG + b"\n.",
    "binbytes8_huge": b"\x8e" + struct.pack(U8, 2**62) + b"x",
    "binunicode8_huge": b"\x8d" + struct.pack(U8, 2**64 - 1) + b"x",
    "bytearray8_huge": b"\x96" + struct.pack(U8, 2**40) + b"x",
    "binstring_negative": b"T\xff\xff\xff\xffx.",
    "binbytes_huge": b"B\xff\xff\xff\xffx.",
    "frame_huge": b"\x80\x04\x95" + struct.pack(U8, 2**60) + b"N.",
    "out_of_band_buffer": b"\x80\x05\x97.",
    "protocol_9": b"\x80\x09N.",
    "nested_tuples": b"N" + b"\x85" * 190_000 + b".",
    "nested_lists": b"]" + b"]" * 95_000 + b"a" * 95_000 + b".",
    "nested_dicts": b"}" + (text("a") + b"}") * 40_000 + b"s" * 40_000 + b".",
    "list_in_itself": b"]q\0h\0a.",
    "dict_in_itself": b"}q\0" + text("a") + b"h\0s.",
    "lists_in_each_other": b"]q\0]q\1h\0ah\1a.",
    "doubling_lists": b"]q\0" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(45)) + b".",
    "doubling_tuples": b")q\0" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(100)) + b".",
    "tuple_that_hashes_forever": b")q\0" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(45)) + b"}h\x2dNs.",
    "colliding_keys": b"}(" + b"".join(COLLIDING) + b"u.",
    "colliding_floats": b"}(" + b"".join(COLLIDING_FLOATS) + b"u.",
    "list_key": b"}]Ns.",
    "marks": b"(" * BIG + b".",
    "empty_dicts": b"}" * BIG + b".",
    "empty_dicts_remembered": b"}\x94" * BIG + b".",
    "small_dicts": b"}NNs" * BIG + b".",
    "list_of_small_dicts": b"](" + b"}NNs" * 49_000 + b"e.",
    "list_of_tuples": b"](" + b"N\x85" * 95_000 + b"e.",
    "list_of_lists": b"](" + b"]Na" * 65_000 + b"e.",
    "numbers": b"](" + b"G\0\0\0\0\0\0\0\0" * 190_000 + b"e.",
    "wide_texts": b"](" + b"X\x04\0\0\0\xf0\x9f\x98\x80" * 190_000 + b"e.",
    "pop_from_nothing": b"0.",
    "stop_without_value": b".",
    "mark_that_is_not_there": b"t.",
    "append_to_a_tuple": b")Na.",
    "set_item_of_a_list": b"]NNs.",
    "odd_items": b"}(Nu.",
    "unknown_opcode": b"\xff.",
    "set": b"\x8f.",
    "ordered_dicts_of_one_list": b"](" + b"NN\x86" * 50_000 + b"eq\0" + (ORDERED + b"h\0\x85R") * 60 + b".",
    "encode_again_and_again": b"X" + struct.pack(U4, BIG) + b"a" * BIG + b"q\0" + LATIN_AGAIN * 9000 + b".",
    "encode_in_another_code": b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0zip\x74R.",
    "array_of_objects": ARRAY + b"(K\x01K\x02\x85cnumpy\ndtype\nX\x02\0\0\0O8\x89\x88\x87R\x89](NNetb.",
    "array_larger_than_its_bytes": ARRAY + b"(K\x01J\0\0\0\x40\x85" + DTYPE + b"\x89C\x04\0\0\0\0tb.",
    "array_of_negative_size": ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x04\0\0\0\0tb.",
    "array_of_nan_size": ARRAY + b"(K\x01G" + struct.pack(">d", float("nan")) + b"\x85" + DTYPE + b"\x89C\0tb.",
    "array_with_another_state": ARRAY + b"K\x05b.",
    "array_of_another_class": b"cnumpy.core.multiarray\n_reconstruct\n(" + ORDERED + b"K\0\x85C\x01btR.",
    "type_of_wide_elements": b"cnumpy\ndtype\nX\x0a\0\0\0V999999999\x89\x88\x87R.",
    "type_of_records": DTYPE + b"(K\x03X\x01\0\0\0|N)}K\x08K\x01K\x10tb.",
    "type_as_result": DTYPE + b".",
    "tensor_of_no_storage": TENSOR + b"(]K\0K\x01\x85K\x01\x85\x89}tR.",
    "tensor_without_arguments": TENSOR + b")R.",
    "persistent_text": b"P../../etc/passwd\n.",
    "persistent_number": b"K\x05Q.",
    "persistent_list": b"](X\x07\0\0\0storageNNNNeQ.",
    "persistent_without_class": b"(X\x07\0\0\0storage" + text("os.system") + text("0") + text("cpu") + b"K\x01tQ.",
}  # fmt: skip


def every_form(folder, torch_bytes, pickled, everywhere=True):
    """The pickle as a Detectron file, in both PyTorch files, and where other pickles or none belong."""
    files = {"model.pkl": b"\x80\x02" + pickled}
    if everywhere:
        files["zip.pth"] = torch_bytes.zipped(pickled)
        files["old.pth"] = torch_bytes.legacy(pickled)
        files["pickle.pth"] = b"\x80\x02" + pickled
        files["sizes.pth"] = torch_bytes.legacy(b"")[:21] + pickled
    for name, content in files.items():
        (folder / name).write_bytes(content)
        yield folder / name


@pytest.mark.parametrize("name", RUNS)
def test_nothing_runs(name, tmp_path, torch_bytes, guarded):
    canary = tmp_path / "canary"
    for path in every_form(tmp_path, torch_bytes, RUNS[name](f"touch {canary}")):
        assert isinstance(guarded(weights.read, path), ConvertError)
        assert not canary.exists()


def test_the_canary_would_sing(tmp_path):
    """The commands above do what the tests say does not happen."""
    canary = tmp_path / "canary"
    function, arguments = Evil(f"touch {canary}").__reduce__()
    assert function(*arguments) == 0 and canary.exists()


@pytest.mark.parametrize("name", FILLS)
def test_nothing_grows(name, tmp_path, torch_bytes, guarded):
    pickled = FILLS[name]
    for path in every_form(tmp_path, torch_bytes, pickled, everywhere=len(pickled) < 10_000):
        assert isinstance(guarded(weights.read, path), ConvertError)


def test_one_wide_letter_does_not_make_a_long_text_four_times_as_large(tmp_path, guarded):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02X" + struct.pack(U4, 40 * BIG + 4) + "\U0001f600".encode() + b"a" * 40 * BIG + b".")
    assert "beyond Latin-1" in str(guarded(weights.read, path))


def test_the_refused_name_is_told(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(RUNS["protocol_2"]("true"))
    with pytest.raises(ConvertError, match=r"model\.pkl: .*asks for posix\.system, and only plain data"):
        weights.read(str(path))
