"""Label files under damage: refused with the file's name, or read; never another error, never much memory."""

import io

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fullconv.lib.dataset.colours import decode_colours, read_palette
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.label_files import (
    read_label_mat,
    read_label_png,
)

SIZE = (9, 7)
LABELS = np.random.RandomState(0).randint(0, 5, SIZE).astype(np.uint8)


def mat_bytes(compressed):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"S": LABELS}, do_compression=compressed)
    return buffer.getvalue()


def png_bytes():
    buffer = io.BytesIO()
    Image.fromarray(LABELS, "L").save(buffer, format="PNG")
    return buffer.getvalue()


def damaged(data, rng):
    """The bytes cut, or with a few of them overwritten, now and then by a large number."""
    if rng.randint(4) == 0:
        return data[: rng.randint(len(data))]
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        data[rng.randint(len(data))] = rng.randint(256)
    if rng.randint(3) == 0:
        place = rng.randint(len(data) - 4)
        data[place : place + 4] = int(rng.randint(2**31 - 1)).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("kind", ["mat", "compressed.mat", "png"])
def test_damage_is_refused_or_harmless(tmp_path, kind):
    data = png_bytes() if kind == "png" else mat_bytes(compressed="." in kind)
    path = tmp_path / f"x.{kind}"
    read = (lambda p: read_label_png(p, SIZE)) if kind == "png" else (lambda p: read_label_mat(p, "S", SIZE))
    path.write_bytes(data)
    assert np.array_equal(read(str(path)), LABELS)
    rng, refused = np.random.RandomState(1), 0
    for _ in range(300):
        path.write_bytes(damaged(data, rng))
        try:
            assert read(str(path)).shape == SIZE
        except DatasetError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 100


def test_a_label_that_announces_a_huge_picture_is_not_decoded(tmp_path):
    data = bytearray(png_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "x.png").write_bytes(bytes(data))
    with pytest.raises(DatasetError, match="60000 x 60000|not a readable label"):
        read_label_png(str(tmp_path / "x.png"), SIZE)


def test_sixteen_bit_labels_keep_their_values(tmp_path):
    Image.fromarray((LABELS + 300).astype(np.uint16)).save(tmp_path / "x.png")
    assert np.array_equal(read_label_png(str(tmp_path / "x.png"), SIZE), LABELS.astype(int) + 300)


def test_decoding_colours_is_the_inverse_of_colouring(tmp_path):
    (tmp_path / "p.txt").write_text("9 8 7 a\n0 0 0\tunlabelled\n255 255 255 b b\n1,2,3: c\n")
    palette = read_palette(str(tmp_path / "p.txt"))
    assert palette.classes == ("a", "b b", "c") and palette.labels.tolist() == [0, 255, 1, 2]
    rows = np.random.RandomState(2).randint(0, 4, (20, 30))
    assert np.array_equal(decode_colours(palette.colours[rows], palette, "x"), palette.labels[rows])
