"""Every reader of files from elsewhere, with small whole files that the tests make themselves, to be damaged.

Where a file carries checksums or is packed, what lies inside is damaged too and packed again (`wrap`), since a wrong
checksum hides everything behind it.
"""

from __future__ import annotations

import collections
import io
import json
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple, Type

import numpy as np
import scipy.io
from PIL import Image

Wrap = Callable[[bytes], bytes]
H, W = 24, 40
LABELS = np.random.RandomState(0).randint(0, 3, (H, W)).astype("u1")
PICTURE = np.random.RandomState(1).randint(0, 256, (H // 8, W // 8, 3)).astype("u1").repeat(8, 0).repeat(8, 1)


@dataclass(frozen=True)
class Seed:
    """A whole file. content: what is damaged; `wrap` makes the file of it."""

    content: bytes
    ending: str
    wrap: Wrap = bytes


@dataclass(frozen=True)
class Reader:
    """read: takes the path. errors: how it refuses, with the file's name unless `names_the_file` is False."""

    name: str
    read: Callable[[Path], Any]
    seeds: Callable[[], List[Seed]]
    errors: Tuple[Type[Exception], ...]
    names_the_file: bool = True


# --------------------------------------------------------------------------------------------------- pictures


def _picture(form: str, mode: str = "RGB", image: np.ndarray = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, form, **options)
    return file.getvalue()


def _pictures() -> List[Seed]:
    jpegs = [_picture("JPEG"), _picture("JPEG", progressive=True), _picture("JPEG", "CMYK", restart_marker_blocks=2)]
    pngs = [_picture("PNG"), _picture("PNG", "P"), _picture("PNG", "RGBA"), _picture("PNG", "1")]
    tiffs = [_picture("TIFF", compression=kind) for kind in (None, "tiff_lzw", "tiff_deflate", "jpeg", "packbits")]
    webps = [_picture("WEBP"), _picture("WEBP", lossless=True), _picture("WEBP", "RGBA")]
    others = [(_picture("BMP"), ".bmp"), (_picture("BMP", "P"), ".bmp"), (_picture("PPM"), ".ppm")]
    return [
        *(Seed(data, ".jpg") for data in jpegs),
        *(Seed(data, ".png", right_checksums) for data in pngs),
        *(Seed(data, ".tif") for data in tiffs),
        *(Seed(data, ".webp") for data in webps),
        *(Seed(*other) for other in others),
    ]


def right_checksums(png: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them now."""
    data, place = bytearray(png), 8
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        if place + 12 + size > len(data):
            break
        struct.pack_into(">I", data, place + 8 + size, zlib.crc32(data[place + 4 : place + 8 + size]))
        place += 12 + size
    return bytes(data)


def _labels() -> List[Seed]:
    pngs = [_picture("PNG", mode, LABELS) for mode in ("L", "P", "I;16", "1")]
    return [Seed(data, ".png", right_checksums) for data in pngs]


def _read_label(path: Path) -> Any:
    from fullconv.lib.dataset.segmentation.label_files import read_label_png
    from fullconv.lib.dataset.voc_files import read_map

    if path.stat().st_size % 2:
        return read_map(str(path), "GTcls", (H, W))
    return read_label_png(str(path), (H, W))


def _mats() -> List[Seed]:
    values = [{"S": LABELS}, {"GTcls": {"Segmentation": LABELS, "Boundaries": np.array([np.eye(2), "text"], object)}}]
    plain = [_saved(scipy.io.savemat, value) for value in values]
    packed = [_saved(scipy.io.savemat, value, do_compression=True) for value in values]
    inner = zlib.decompress(packed[1][136:])
    return [*(Seed(data, ".mat") for data in [*plain, *packed]), Seed(inner, ".mat", _packed_variable)]


def _saved(save: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arguments, **options)
    return file.getvalue()


def _packed_variable(variable: bytes) -> bytes:
    packed = zlib.compress(variable)
    return b" " * 124 + b"\0\1IM" + struct.pack("<II", 15, len(packed)) + packed


def _read_mat(path: Path) -> Any:
    from fullconv.lib.dataset.segmentation.label_files import read_label_mat
    from fullconv.lib.dataset.voc_files import read_map

    if path.stat().st_size % 2:
        return read_label_mat(str(path), "S", (H, W))
    return read_map(str(path), "GTcls", (H, W))


# ----------------------------------------------------------------------------------------------- annotations


def _xmls() -> List[Seed]:
    part = "<object><name>{}</name><difficult>0</difficult><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>9"
    text = "<annotation><filename>a.jpg</filename><size><width>40</width><height>24</height><depth>3</depth></size>"
    text += "".join(part.format(name) + "</ymax></bndbox></object>" for name in ("cat", "dog")) + "</annotation>"
    entities = b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    return [Seed(text.encode(), ".xml"), Seed(entities, ".xml"), Seed(text.encode("utf-16"), ".xml")]


def _read_xml(path: Path) -> Any:
    from fullconv.lib.dataset.detection.voc_xml import VOCXml

    folder = path.parent / "xml"
    for name in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets/Main/a.txt").write_text(path.stem)
    (folder / "classes.txt").write_text("cat\ndog\n")
    if not (folder / f"JPEGImages/{path.stem}.png").exists():
        (folder / f"JPEGImages/{path.stem}.png").write_bytes(_picture("PNG"))
    (folder / f"Annotations/{path.name}").write_bytes(path.read_bytes())
    return VOCXml("a", str(folder)).entries()


def _code() -> Dict[str, Any]:
    from fullconv.lib.mask.encode import encode_mask

    return encode_mask(LABELS == 1)


def _cocos() -> List[Seed]:
    segmentations = [
        [[2, 3, 20.5, 3, 20, 9, 2, 9], [1, 1, 3, 1, 3, 3]],
        {"size": [H, W], "counts": [100, 20, 840]},
        _code(),
    ]
    records = [
        {"id": n + 1, "image_id": 7, "category_id": 1 + n % 2, "bbox": [2, 3, 19, 7], "area": 120, "iscrowd": n // 2}
        for n in range(len(segmentations))
    ]
    for record, segmentation in zip(records, segmentations):
        record["segmentation"] = segmentation
    data = {
        "images": [{"id": 7, "file_name": "a.png", "height": H, "width": W}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog", "supercategory": "animal"}],
        "annotations": records,
    }
    return [Seed(json.dumps(data).encode(), ".json"), Seed(json.dumps(data, indent=1).encode(), ".json")]


def _read_coco(path: Path) -> Any:
    from fullconv.lib.dataset.detection.coco import COCO

    folder = path.parent / "coco"
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    if not (folder / "a.png").exists():
        (folder / "a.png").write_bytes(_picture("PNG"))
    (folder / f"annotations/{path.stem}.json").write_bytes(path.read_bytes())
    data = COCO(path.stem, str(folder), root_path=str(folder))
    # Not through the cache, which would be a file more.
    return [entry.masks.source.load() for entry in data.entries()]


def _codes() -> List[Seed]:
    codes = [{"size": [H, W], "counts": [100, 20, 840]}, _code()]
    return [Seed(json.dumps(code).encode(), ".json") for code in codes]


def _read_code(path: Path) -> Any:
    from fullconv.lib.dataset.detection.run_lengths import RLEError, run_lengths
    from fullconv.lib.mask.polygon import rle_to_mask

    try:
        code = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RLEError(str(error)) from None
    if not isinstance(code, dict):
        raise RLEError("no object")
    run_lengths(code, (H, W))
    return rle_to_mask(code, H, W)


def _texts() -> List[Seed]:
    palette, labelmap = (
        b"0 0 0 background\n128 0 0 cat\n0 128 0 void # nothing\n",
        b"# a\nbackground:0,0,0::\ncat:1,2,3::\n",
    )
    return [Seed(text, ".txt") for text in (palette, labelmap, b"__ignore__\n_background_\ncat\n1: dog\n", b"a\nb/c\n")]


def _read_text(path: Path) -> Any:
    from fullconv.lib.dataset.class_list import label_names, object_names
    from fullconv.lib.dataset.colours import read_palette
    from fullconv.lib.dataset.segmentation.label_files import read_list

    return (read_palette, label_names, object_names, read_list)[path.stat().st_size % 4](str(path))


# --------------------------------------------------------------------------------------------------- weights

RNG = np.random.RandomState(2)
ARRAYS = {f"layer{n}.conv.weight": RNG.rand(2, 3, n + 1).astype("f4") for n in range(4)}


def _zipped(name: str, rest: Dict[str, bytes]) -> Wrap:
    """Puts a member into an archive with the others."""

    def wrap(content: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for key, value in {name: content, **rest}.items():
                archive.writestr(key, value)
        return file.getvalue()

    return wrap


def _torch_files() -> List[Seed]:
    from fullconv.lib.convert import torch_writer
    from tests.lib.convert.conftest import TorchBytes

    made = TorchBytes()
    storages = {str(n): (array.size, array.tobytes()) for n, array in enumerate(ARRAYS.values())}
    tensors = {
        name: made.tensor(made.storage("FloatStorage", str(n), a.size), 0, (a.size,), (1,))
        for n, (name, a) in enumerate(ARRAYS.items())
    }
    whole = _written(lambda path: torch_writer.write(path, ARRAYS), ".pth")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("data.pkl"))
    pickled = members.pop(name)
    return [
        Seed(whole, ".pth"),
        Seed(pickled, ".pth", _zipped(name, members)),
        Seed(made.legacy(made.model(**tensors), storages), ".pth"),
    ]


def _written(write: Callable[[str], Any], ending: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/file{ending}")
        return Path(f"{folder}/file{ending}").read_bytes()


def _pickles() -> List[Seed]:
    blobs = {f"res2_{n}_branch2a_w": RNG.rand(2, 3, n + 1).astype("f4") for n in range(4)}
    content = {"blobs": collections.OrderedDict(blobs), "step": 5, "lr": 0.1, "order": [b"a", ("b", 2**40)]}
    return [Seed(pickle.dumps(content, protocol), ".pkl") for protocol in range(6)]


def _npzs() -> List[Seed]:
    arrays = {"features.0.0.weight": RNG.rand(2, 3), "features.0.0.bias": RNG.rand(2)}
    inner = _saved(np.save, arrays["features.0.0.weight"])
    rest = {"features.0.0.bias.npy": _saved(np.save, arrays["features.0.0.bias"])}
    packed = [_saved(save, **arrays) for save in (np.savez, np.savez_compressed)]
    return [*(Seed(data, ".npz") for data in packed), Seed(inner, ".npz", _zipped("features.0.0.weight.npy", rest))]


def _safetensors() -> List[Seed]:
    from fullconv.lib.convert import safetensors

    return [Seed(_written(lambda path: safetensors.write(path, ARRAYS), ".safetensors"), ".safetensors")]


def _params(**more: np.ndarray) -> bytes:
    from fullconv.lib.core import params_file

    arrays = {"arg:a": np.ones((2, 3), "f4"), "aux:b": np.ones(4, "f2"), "momentum:a": np.ones((2, 3), "f4"), **more}
    return _saved(params_file.write, arrays)


def _resumes() -> List[Seed]:
    text = b'{"progress": {"epoch": 1, "num_update": 12, "random": ["MT19937", [1, 2, 3], 624, 0, 0.0]}}'

    def wrap(content: bytes) -> bytes:
        return _params(json=np.frombuffer(content or b" ", np.uint8))

    return [Seed(text, "-0001.resume", wrap), Seed(wrap(text), "-0001.resume")]


def _read_resume(path: Path) -> Any:
    from fullconv.lib.core import checkpoint

    return checkpoint.load_state(str(path)[: -len("-0001.resume")], 1)


def _records() -> List[Seed]:
    from fullconv.lib.core import run_record

    record = run_record.new("fcis", {"TRAIN.lr": 0.1}, "ab" * 32, ["a.log"])
    return [Seed(_written(lambda path: run_record.write(path[: -len("-run.json")], record), "-run.json"), "-run.json")]


def _read_record(path: Path) -> Any:
    from fullconv.lib.core import run_record

    return run_record.read(str(path)[: -len("-run.json")])


def _read_weights(path: Path) -> Any:
    from fullconv.lib.convert import weights

    return weights.read(str(path))


# ----------------------------------------------------------------------------------------------------- Caffe


def _caffe_files() -> List[bytes]:
    from fullconv.fcn.symbols import build, initial_params
    from fullconv.lib.convert import caffe
    from fullconv.lib.network.caffe.layer import without

    net = build("voc-fcn8s-atonce", [2], width=1 / 64, hidden=2)
    params, layers = initial_params(net), without(net.layers, "Dropout")

    def write(path: str) -> None:
        for made in caffe.export(layers, params, path, net.data_shapes(8, 8)):
            contents.append(Path(made).read_bytes())
        Path(path).touch()

    contents: List[bytes] = []
    _written(write, "")
    return contents


def _models() -> List[Seed]:
    whole = _caffe_files()[1]
    # Mostly the head of it, so that changes meet structure rather than numbers.
    return [Seed(whole[:3000], ".caffemodel"), Seed(whole[:600], ".caffemodel"), Seed(whole, ".caffemodel")]


def _networks() -> List[Seed]:
    text = _caffe_files()[0]
    return [Seed(text[:1500], ".prototxt"), Seed(text[-1500:], ".prototxt"), Seed(text, ".prototxt")]


def _solvers() -> List[Seed]:
    text = b'net: "a.prototxt"\nbase_lr: 1e-4\nlr_policy: "multistep"\nstepvalue: [100, 200]\ngamma: 0.1\n'
    text += b'momentum: 0.99\niter_size: 2\nmax_iter: 1000\nweight_decay: 5e-4\nsnapshot: 500 # often\ntype: "SGD"\n'
    return [Seed(text, ".prototxt")]


def _read_caffe(path: Path) -> Any:
    from fullconv.lib.convert import caffe

    caffe.describe(str(path))
    return caffe.load_params(str(path)) if path.suffix == ".caffemodel" else None


def _read_solver(path: Path) -> Any:
    from fullconv.lib.convert import caffe_solver

    return caffe_solver.load(str(path))


# ------------------------------------------------------------------------------------------- our own files


def _configs() -> List[Seed]:
    text = b"""base: &base {lr: 0.001, wd: 5e-4}
TRAIN:
  <<: *base
  lr_step: '3,5.33'
  FLIP: true
SCALES: [600, 1000]
gpus: '0'
network: {PIXEL_MEANS: [103.06, 115.9, 123.15], ANCHOR_RATIOS: [0.5, 1, 2], pretrained: "a b"}
dataset:
  NUM_CLASSES: 81
  date: 2012-01-01 01:02:03
"""
    return [Seed(text, ".yaml"), Seed(text.split(b"TRAIN:\n  <<: *base\n")[1], ".yaml")]


def _read_config(path: Path) -> Any:
    from fullconv.fcis.config import load

    return load(str(path))


def _caches() -> List[Seed]:
    from fullconv.lib.mask.mask_cache import write_masks

    masks = np.zeros((2, H, W), bool)
    masks[:, 3:9, 4:20] = True
    return [Seed(_written(lambda path: write_masks(path, masks), ".hkl"), ".hkl")]


def _read_cache(path: Path) -> Any:
    from fullconv.lib.mask.mask_cache import read_masks

    return read_masks(str(path), (2, H, W))


def _results() -> List[Seed]:
    from fullconv.lib.structures.detections import Detections, save_detections

    found = Detections(np.ones((2, 4), "f4"), np.ones(2, "f4"), np.array([1, 2]), np.ones((2, 3, 3), "f4"))
    whole = _written(lambda path: save_detections(Path(path), {"a": 1}, [found, Detections.empty(3)]), ".npz")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    inner = members.pop("boxes.npy")
    return [Seed(whole, ".npz"), Seed(inner, ".npz", _zipped("boxes.npy", members))]


def _read_result(path: Path) -> Any:
    from fullconv.lib.structures.detections import load_detections

    return load_detections(path, {"a": 1})


def _logs() -> List[Seed]:
    lines = [{"step": n, "loss": 1 / n, "epoch": 0, "time": "2020-01-01 00:00:00"} for n in range(1, 9)]
    return [Seed("\n".join(map(json.dumps, lines)).encode(), ".jsonl")]


def _read_log(path: Path) -> Any:
    from fullconv.lib.visualize.curves import read_log, series

    return series(read_log(path))


def readers() -> List[Reader]:
    """All of them."""
    from fullconv.lib.convert.errors import ConvertError
    from fullconv.lib.core.params_file import CheckpointError
    from fullconv.lib.dataset.detection.run_lengths import RLEError
    from fullconv.lib.dataset.errors import DatasetError
    from fullconv.lib.dataset.image import ImageError, image_size, read_image
    from fullconv.lib.experiment.config import ConfigError
    from fullconv.lib.mask.mask_cache import MaskCacheError

    data = (DatasetError, ImageError)
    return [
        Reader("image", lambda path: read_image(str(path)), _pictures, data),
        Reader("image_size", lambda path: image_size(str(path)), _pictures, data),
        Reader("label_png", _read_label, _labels, data),
        Reader("label_mat", _read_mat, _mats, data),
        Reader("voc_xml", _read_xml, _xmls, data),
        Reader("coco_json", _read_coco, _cocos, data),
        Reader("run_lengths", _read_code, _codes, (RLEError,), False),
        Reader("text_lists", _read_text, _texts, data),
        Reader("pth", _read_weights, _torch_files, (CheckpointError,)),
        Reader("pkl", _read_weights, _pickles, (CheckpointError,)),
        Reader("npz", _read_weights, _npzs, (CheckpointError,)),
        Reader("safetensors", _read_weights, _safetensors, (CheckpointError,)),
        Reader("params", _read_weights, lambda: [Seed(_params(), ".params")], (CheckpointError,)),
        Reader("resume", _read_resume, _resumes, (CheckpointError,)),
        Reader("run_record", _read_record, _records, (CheckpointError,)),
        Reader("caffemodel", _read_caffe, _models, (ConvertError,)),
        Reader("prototxt", _read_caffe, _networks, (ConvertError, ValueError), False),
        Reader("solver", _read_solver, _solvers, (ConvertError,)),
        Reader("config", _read_config, _configs, (ConfigError,)),
        Reader("mask_cache", _read_cache, _caches, (MaskCacheError,)),
        Reader("detections", _read_result, _results, ()),
        Reader("log", _read_log, _logs, ()),
    ]
