"""Readers of segmentation sets: what they give, and the error for every way data can be wrong."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import ImageError
from fullconv.lib.dataset.registry import READERS, SEGMENTATION, segmentation_set

SIZE = (6, 9)


def write_png(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array, mode).save(path)


def write_voc(root, labels, names=None):
    """A VOC folder with one grey image per label map."""
    ids = [f"im{i}" for i in range(len(labels))]
    for image_id, label in zip(ids, labels):
        write_png(root / "JPEGImages" / f"{image_id}.png", np.full(label.shape + (3,), 90, np.uint8))
        write_png(root / "SegmentationClass" / f"{image_id}.png", label)
    write_text(root / "ImageSets" / "Segmentation" / "val.txt", "\n".join(ids))
    if names:
        write_text(root / "classes.txt", "\n".join(names))
    return root


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def label_map(value=1):
    label = np.zeros(SIZE, np.uint8)
    label[2:4, 3:6] = value
    return label


def test_voc_folder_with_its_own_classes(tmp_path):
    dataset = segmentation_set(
        "voc", "val", dataset_path=str(write_voc(tmp_path, [label_map(), label_map(255)], ["disc"]))
    )
    assert dataset.tasks == {"label": ["background", "disc"]} and len(dataset) == 2
    assert np.array_equal(dataset.read_label(1), label_map(255)) and dataset.read_label(1).dtype == np.uint8
    assert dataset.read_input(0).shape == SIZE + (3,) and dataset.size(0) == SIZE


def test_limits_and_joined_splits(tmp_path):
    write_voc(tmp_path, [label_map(v) for v in (1, 2, 3)])
    dataset = segmentation_set("voc", "val[:2]+val", dataset_path=str(tmp_path))
    # Predictions are called after ids: none may overwrite another one.
    assert dataset.image_ids == ["000000_im0", "000001_im1", "000002_im0", "000003_im1", "000004_im2"]
    assert [int(dataset.read_label(i).max()) for i in range(5)] == [1, 2, 1, 2, 3]
    assert dataset.read_label(-1).max() == 3
    with pytest.raises(IndexError):
        dataset.read_label(5)


def test_a_label_outside_the_classes_is_named(tmp_path):
    dataset = segmentation_set("voc", "val", dataset_path=str(write_voc(tmp_path, [label_map(7)], ["disc"])))
    with pytest.raises(DatasetError, match=r"im0.png: 6 pixels have label 7, but there are 2 classes"):
        dataset.read_label(0)
    assert dataset.read_label(0, check=False).max() == 7


def test_a_label_of_another_size_is_refused(tmp_path):
    write_voc(tmp_path, [label_map()])
    write_png(tmp_path / "SegmentationClass" / "im0.png", label_map().T.copy())
    with pytest.raises(DatasetError, match="the label is 6 x 9 but its image is 9 x 6"):
        segmentation_set("voc", "val", dataset_path=str(tmp_path)).read_label(0)


def test_colours_instead_of_indices(tmp_path):
    write_voc(tmp_path, [label_map()])
    write_png(tmp_path / "SegmentationClass" / "im0.png", np.zeros(SIZE + (3,), np.uint8))
    with pytest.raises(DatasetError, match="RGB picture holds colours, not class indices: give a palette file"):
        segmentation_set("voc", "val", dataset_path=str(tmp_path)).read_label(0)


def test_missing_and_damaged_files(tmp_path):
    write_voc(tmp_path, [label_map(), label_map(), label_map()])
    label = tmp_path / "SegmentationClass" / "im0.png"
    label.write_bytes(label.read_bytes()[:-25])
    (tmp_path / "SegmentationClass" / "im1.png").unlink()
    (tmp_path / "SegmentationClass" / "im2.png").write_bytes(b"no picture")
    dataset = segmentation_set("voc", "val", dataset_path=str(tmp_path))
    with pytest.raises(DatasetError, match="im0.png.*(truncated|damaged)"):
        dataset.read_label(0)
    with pytest.raises(DatasetError, match="label of im1 is missing, looked for.*SegmentationClass.*cls"):
        dataset.read_label(1)
    with pytest.raises(DatasetError, match="not a readable label PNG"):
        dataset.read_label(2)
    (tmp_path / "JPEGImages" / "im2.png").write_bytes(b"")
    with pytest.raises(ImageError, match="empty"):
        dataset.read_input(2)


@pytest.mark.parametrize("text, message", [("", "is empty"), ("a\nb\na\n", "a is listed twice"), (None, "no such")])
def test_split_lists(tmp_path, text, message):
    if text is not None:
        write_text(tmp_path / "ImageSets" / "Segmentation" / "val.txt", text)
    with pytest.raises(DatasetError, match=message):
        segmentation_set("voc", "val", dataset_path=str(tmp_path))


def test_unknown_names(tmp_path):
    with pytest.raises(DatasetError, match="known segmentation sets are voc, sbd"):
        segmentation_set("ade20k", "val")
    with pytest.raises(DatasetError, match="'voc' has no option palette"):
        segmentation_set("voc", "val", dataset_path=str(tmp_path), palette="x.txt")
    dataset = segmentation_set("voc", "val", dataset_path=str(write_voc(tmp_path, [label_map()])))
    with pytest.raises(DatasetError, match="no task 'geo': it has label"):
        dataset.read_label(0, "geo")
    with pytest.raises(DatasetError, match="no input 'depth': it has data"):
        dataset.read_input(0, "depth")


def test_every_reader_says_what_is_missing(tmp_path):
    for name in set(READERS[SEGMENTATION]) - {"shapes", "textured_shapes"}:
        with pytest.raises(DatasetError, match="no such|neither a list"):
            segmentation_set(name, "val", dataset_path=str(tmp_path / "nothing"))


# --------------------------------------------------------------------------------------------------- folder


def write_folder(root, labels, classes="sky\nroad\n"):
    for i, label in enumerate(labels):
        write_png(root / "images" / "train" / f"a{i}.png", np.full(SIZE + (3,), 9, np.uint8))
        write_png(root / "labels" / "train" / f"a{i}.png", label)
    if classes:
        write_text(root / "classes.txt", classes)
    return str(root)


def test_folder_pairs_by_name_and_maps_void(tmp_path):
    path = write_folder(tmp_path, [label_map(), label_map(11)])
    dataset = segmentation_set("folder", "train", dataset_path=path, void=[11])
    assert dataset.image_ids == ["a0", "a1"] and dataset.tasks["label"] == ["sky", "road"]
    assert set(np.unique(dataset.read_label(1))) == {0, 255}


def test_folder_lists_in_three_forms(tmp_path):
    path = write_folder(tmp_path, [label_map()])
    lines = ["images/train/a0.png labels/train/a0.png", "train/a0", "/their/disc/train/a0.png\t/x/labels/train/a0.png"]
    write_png(tmp_path / "train" / "a0.png", np.full(SIZE + (3,), 9, np.uint8))
    for line in lines:
        write_text(tmp_path / "list.txt", line)
        dataset = segmentation_set("folder", "list", dataset_path=path)
        assert dataset.image_ids == ["a0"] and dataset.size(0) == SIZE
    write_text(tmp_path / "list.txt", "my image.png my label.png")
    with pytest.raises(DatasetError, match="names with spaces need a tab"):
        segmentation_set("folder", "list", dataset_path=path)


PALETTE = "# colours\n10 20 30 sky\n40 50 60\troad\n0 0 0 Void\n"


def coloured(label):
    return np.array([[10, 20, 30], [40, 50, 60], [0, 0, 0], [1, 2, 3]], np.uint8)[label]


def test_colour_coded_labels(tmp_path):
    label = np.random.RandomState(0).randint(0, 3, SIZE)
    path = write_folder(tmp_path, [coloured(label)], classes=None)
    write_text(tmp_path / "label_colors.txt", PALETTE)
    dataset = segmentation_set("folder", "train", dataset_path=path)
    assert dataset.tasks["label"] == ["sky", "road"]
    assert np.array_equal(dataset.read_label(0), np.where(label == 2, 255, label))


def test_a_palette_picture_is_read_by_its_colours_when_a_palette_file_is_given(tmp_path):
    path = write_folder(tmp_path, [label_map()])
    picture = Image.fromarray(label_map()[:, :], "P")
    picture.putpalette([40, 50, 60, 10, 20, 30])
    picture.save(tmp_path / "labels" / "train" / "a0.png")
    write_text(tmp_path / "my.txt", PALETTE)
    dataset = segmentation_set("folder", "train", dataset_path=path, palette=str(tmp_path / "my.txt"))
    assert np.array_equal(dataset.read_label(0), 1 - label_map())


def test_a_colour_outside_the_palette(tmp_path):
    path = write_folder(tmp_path, [coloured(label_map(3))], classes=None)
    write_text(tmp_path / "palette.txt", PALETTE)
    with pytest.raises(
        DatasetError, match=r"6 pixels in 1 colours are not in .*palette.txt, most of them R G B \(1, 2, 3\)"
    ):
        segmentation_set("folder", "train", dataset_path=path).read_label(0)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 2 sky", "is not `R G B name`"),
        ("1 2 256 sky", "is not"),
        ("1 2 3 a\n1 2 3 b", "twice"),
        ("0 0 0 void", "0 classes"),
    ],
)
def test_palette_files(tmp_path, text, message):
    path = write_folder(tmp_path, [label_map()], classes=None)
    write_text(tmp_path / "palette.txt", text)
    with pytest.raises(DatasetError, match=message):
        segmentation_set("folder", "train", dataset_path=path)


def test_jpeg_labels_are_refused(tmp_path):
    path = write_folder(tmp_path, [label_map()])
    write_png(tmp_path / "labels" / "train" / "a0.jpg", label_map())
    write_text(tmp_path / "x.txt", "images/train/a0.png labels/train/a0.jpg")
    with pytest.raises(DatasetError, match="JPEG changes the values"):
        segmentation_set("folder", "x", dataset_path=path).read_label(0)


# ------------------------------------------------------------------------------------------ other published sets


def test_nyud_trainval_is_train_then_val(tmp_path):
    write_text(tmp_path / "train.txt", "5\n3")
    write_text(tmp_path / "val.txt", "4")
    assert segmentation_set("nyud", "trainval", dataset_path=str(tmp_path)).image_ids == ["5", "3", "4"]
    write_text(tmp_path / "trainval.txt", "3\n4\n5")
    assert segmentation_set("nyud", "trainval", dataset_path=str(tmp_path)).image_ids == ["3", "4", "5"]


def test_nyud_mat_files(tmp_path):
    write_text(tmp_path / "test.txt", "5")
    write_png(tmp_path / "data" / "images" / "img_5.png", np.zeros(SIZE + (3,), np.uint8))
    dataset = segmentation_set("nyud", "test", dataset_path=str(tmp_path))
    file = tmp_path / "segmentation" / "img_5.mat"
    file.parent.mkdir()

    def read(**variables):
        scipy.io.savemat(file, variables)
        return dataset.read_label(0)

    assert set(np.unique(read(segmentation=label_map(40)))) == {39, 255}
    with pytest.raises(DatasetError, match="label 40, but there are 40 classes"):
        read(segmentation=label_map(41))
    with pytest.raises(DatasetError, match="not a MATLAB v5 file with segmentation"):
        read(S=label_map())
    with pytest.raises(DatasetError, match="not a map of integers"):
        read(segmentation=label_map() + 0.5)
    with pytest.raises(DatasetError, match="the label is 6 x 9"):
        read(segmentation=label_map().T)


def test_holes_in_depth_are_refused(data_dir, tmp_path):
    write_text(tmp_path / "test.txt", "1\n2")
    for image_id, name in (("1", "depth"), ("2", "rawdepth")):
        target = tmp_path / "data" / "depth" / f"img_{image_id}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((data_dir / "nyud_sample" / f"{name}.png").read_bytes())
    dataset = segmentation_set("nyud", "test", dataset_path=str(tmp_path))
    depth = dataset.read_input(0, "depth")
    assert depth.dtype == np.uint16 and depth.min() > 0
    with pytest.raises(
        DatasetError, match="depth is 0 .not measured. at [0-9]+ pixels: use depth with the holes filled"
    ):
        dataset.read_input(1, "depth")


def test_hha_keeps_the_files_channel_order(tmp_path):
    write_text(tmp_path / "test.txt", "1")
    picture = np.zeros(SIZE + (3,), np.uint8)
    picture[:] = 1, 2, 3
    for kind in ("images", "hha"):
        write_png(tmp_path / "data" / kind / "img_1.png", picture)
    dataset = segmentation_set("nyud", "test", dataset_path=str(tmp_path))
    assert dataset.read_input(0, "hha")[0, 0].tolist() == [1, 2, 3]
    assert dataset.read_input(0, "color")[0, 0].tolist() == [3, 2, 1]


def test_context_lists_must_fit_each_other(tmp_path):
    write_text(tmp_path / "VOC2010" / "ImageSets" / "Main" / "val.txt", "a")
    labels = tmp_path / "labels"
    write_text(labels / "labels.txt", "1: dining table\n2: table\n3: sky\n")
    write_text(labels / "59_labels.txt", "1: sky\n2: diningtable\n")
    dataset = segmentation_set("pascal_context", "val", dataset_path=str(tmp_path), label_path=str(labels))
    assert dataset.mapping.tolist() == [0, 0, 2, 1], "diningtable of the short list is table of the long one"
    write_text(labels / "59_labels.txt", "1: sea\n")
    with pytest.raises(DatasetError, match="class 'sea'.* is not in labels.txt"):
        segmentation_set("pascal_context", "val", dataset_path=str(tmp_path), label_path=str(labels))
    write_text(labels / "labels.txt", "1: a\n3: b\n")
    with pytest.raises(DatasetError, match="should be `2: name`"):
        segmentation_set("pascal_context", "val", dataset_path=str(tmp_path), label_path=str(labels))


# ----------------------------------------------------------------------------------------------- embedded and real


@pytest.mark.parametrize("name", ["shapes", "textured_shapes"])
def test_shapes_are_drawn_and_labelled(tmp_path, name):
    dataset = segmentation_set(name, "train[:2]+val1", dataset_path=str(tmp_path))
    assert len(dataset) == 3 and dataset.tasks["label"][0] == "background" and len(dataset.tasks["label"]) == 6
    for index in range(3):
        label = dataset.read_label(index)
        assert label.shape == dataset.size(index) and 0 < label.max() < 6
    with pytest.raises(DatasetError, match="no image set 'test'"):
        segmentation_set(name, "test", dataset_path=str(tmp_path))


def test_real_camvid(data_dir):
    dataset = segmentation_set("camvid", "train+val", dataset_path=str(data_dir / "camvid"))
    names = (data_dir / "camvid" / "classes.txt").read_text().split()
    assert dataset.tasks["label"] == names
    for index in range(0, len(dataset), 13):
        values = np.unique(dataset.read_label(index))
        assert values[values != 255].max() < len(names) and 11 not in values


def test_real_voc_labels(data_dir, tmp_path):
    sample = data_dir / "voc_sample"
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder).symlink_to(sample / folder)
    write_text(tmp_path / "val.txt", "\n".join(file.stem for file in sorted((sample / "JPEGImages").iterdir())))
    dataset = segmentation_set("voc", "val", dataset_path=str(tmp_path))
    for index, image_id in enumerate(dataset.image_ids):
        with Image.open(sample / "SegmentationClass" / f"{image_id}.png") as stored:
            assert np.array_equal(dataset.read_label(index), np.array(stored))


def test_instances_that_8_bits_do_not_hold_are_refused(tmp_path):
    write_voc(tmp_path, [label_map()])
    dataset = segmentation_set("voc", "val", dataset_path=str(tmp_path))
    for value, message in ((254, None), (255, "instance ids go from 0 to 255: 8 bits hold"), (256, "from 0 to 256")):
        write_png(tmp_path / "SegmentationObject" / "im0.png", label_map().astype(np.uint16) * value)
        if message is None:
            assert dataset.read_instances(0).max() == value
        else:
            with pytest.raises(DatasetError, match=message):
                dataset.read_instances(0)
    write_png(tmp_path / "SegmentationObject" / "im0.png", label_map(255))
    assert dataset.read_instances(0).max() == 255, "void"


def write_split(root, split, labels, names=("bg", "a", "b")):
    for name, label in labels.items():
        write_png(root / "images" / split / f"{name}.png", np.full(SIZE + (3,), 90, np.uint8))
        write_png(root / "labels" / split / f"{name}.png", label)
    write_text(root / "classes.txt", "\n".join(names))


def test_joined_splits_hand_on_what_their_parts_have(tmp_path):
    write_voc(tmp_path / "voc", [label_map()])
    write_png(tmp_path / "voc" / "SegmentationObject" / "im0.png", label_map(4))
    voc = segmentation_set("voc", "val+val[:1]", dataset_path=str(tmp_path / "voc"))
    assert voc.read_instances(1).max() == 4
    write_split(tmp_path, "train", {"x": label_map(1)})
    write_split(tmp_path, "val", {"x": label_map(2), "y": label_map(0)})
    folder = segmentation_set("folder", "train+val", dataset_path=str(tmp_path))
    assert folder.image_ids == ["000000_x", "000001_x", "000002_y"] and folder.palette is None
    with pytest.raises(DatasetError, match=r"folder_train has no instance maps: leave --instances out"):
        folder.read_instances(0)
    (tmp_path / "classes.txt").unlink()
    write_text(tmp_path / "palette.txt", "0 0 0 bg\n1 1 1 a\n2 2 2 b\n")
    folder = segmentation_set("folder", "train+val", dataset_path=str(tmp_path))
    assert folder.palette is not None and folder.read_label(1).max() == 2


@pytest.mark.parametrize("bad", ["../x", "/x", "a/../../x"])
def test_ids_that_lead_out_of_a_folder_are_refused(tmp_path, bad):
    write_text(tmp_path / "ImageSets" / "Segmentation" / "val.txt", bad)
    with pytest.raises(DatasetError, match="must be relative, without .."):
        segmentation_set("voc", "val", dataset_path=str(tmp_path))


def test_lists_of_windows(tmp_path):
    write_voc(tmp_path, [label_map()])
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder / "a").mkdir()
        (tmp_path / folder / "im0.png").rename(tmp_path / folder / "a" / "im0.png")
    text = "\ufeffa\\im0\r\n"
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_bytes(text.encode())
    dataset = segmentation_set("voc", "val", dataset_path=str(tmp_path))
    assert dataset.image_ids == ["a/im0"] and dataset.read_label(0).max() == 1


@pytest.mark.parametrize("classes", [("bg", "object"), ("object",), ("_background_", "a", "b")])
def test_masks_of_0_and_255_are_refused(tmp_path, classes):
    masks = {"x": label_map(0), "y": label_map(255), "z": np.full(SIZE, 255, np.uint8)}
    write_split(tmp_path, "train", masks, classes)
    for index in range(3):
        dataset = segmentation_set("folder", "train", dataset_path=str(tmp_path))
        with pytest.raises(DatasetError, match="folder_train: all labels are 0 or 255, .* need 1 for the object"):
            dataset.read_label(index)
        assert dataset.read_label(1, check=False).max() == 255
    # One label with a class, also one that is not read, makes 255 what it is elsewhere; so does a missing one none.
    write_split(tmp_path, "train", {"zz": label_map(len(classes) - 1)}, classes)
    if len(classes) > 1:
        (tmp_path / "labels" / "train" / "x.png").unlink()
        dataset = segmentation_set("folder", "train", dataset_path=str(tmp_path))
        assert dataset.read_label(1).max() == 255


def test_an_image_of_one_class_among_many_and_void_is_fine(tmp_path):
    write_split(tmp_path, "train", {"x": label_map(255)}, ("wall", "floor", "ceiling"))
    assert segmentation_set("folder", "train", dataset_path=str(tmp_path)).read_label(0).max() == 255
    write_split(tmp_path, "val", {"x": label_map(0)}, ("bg", "object"))
    assert segmentation_set("folder", "val", dataset_path=str(tmp_path)).read_label(0).max() == 0


def test_labels_of_one_bit(tmp_path):
    write_split(tmp_path, "train", {"x": label_map()}, ("bg", "object"))
    Image.fromarray(label_map().astype(bool)).save(tmp_path / "labels" / "train" / "x.png")
    labels = segmentation_set("folder", "train", dataset_path=str(tmp_path)).read_label(0)
    assert labels.dtype == np.uint8 and np.array_equal(labels, label_map())


LABELMAP = """\
# label:color_rgb:parts:actions
cat:128,0,0::
background:0,0,0::
night stand:10,20,30:leg,drawer:
"""


def _coloured(root, folder, labels, colours):
    for name, label in labels.items():
        write_png(root / folder / f"{name}.png", np.array(colours, np.uint8)[label])


@pytest.mark.parametrize("name", ["folder", "voc"])
def test_masks_as_cvat_exports_them(tmp_path, name):
    labels = {"x": label_map(2), "y": label_map(1)}
    write_text(tmp_path / "labelmap.txt", LABELMAP)
    if name == "voc":
        write_voc(tmp_path, [label_map(), label_map()])
        _coloured(
            tmp_path,
            "SegmentationClass",
            {"im0": labels["x"], "im1": labels["y"]},
            [[0] * 3, [128, 0, 0], [10, 20, 30]],
        )
        _coloured(tmp_path, "SegmentationObject", {"im0": labels["x"]}, [[0] * 3, [9, 9, 9], [224, 224, 192]])
        dataset = segmentation_set("voc", "val", dataset_path=str(tmp_path))
        assert dataset.tasks == {"label": ["background", "cat", "night stand"]}
        assert [int(dataset.read_label(i).max()) for i in (0, 1)] == [2, 1] and dataset.read_label(0).min() == 0
        assert dataset.read_instances(0).max() == 0, "VOC's colour of void is no object"
        # index maps beside a labelmap are read as before
        write_png(tmp_path / "SegmentationClass" / "im0.png", label_map(2))
        assert dataset.read_label(0).max() == 2
    else:
        write_split(tmp_path, "train", labels)
        (tmp_path / "classes.txt").unlink()
        _coloured(tmp_path, "labels/train", labels, [[0] * 3, [128, 0, 0], [10, 20, 30]])
        dataset = segmentation_set("folder", "train", dataset_path=str(tmp_path))
        assert dataset.tasks == {"label": ["cat", "background", "night stand"]}
        assert np.unique(dataset.read_label(0)).tolist() == [1, 2] and np.unique(dataset.read_label(1)).tolist() == [
            0,
            1,
        ]


def test_a_jpeg_in_the_place_of_a_label_is_named(tmp_path):
    write_split(tmp_path, "train", {"x": label_map()})
    label = tmp_path / "labels" / "train" / "x.png"
    dataset = segmentation_set("folder", "train", dataset_path=str(tmp_path))
    label.unlink()
    Image.fromarray(label_map()).save(label.with_suffix(".jpg"))
    with pytest.raises(DatasetError, match=r"x\.jpg: JPEG changes the values of a label"):
        dataset.read_label(0)
    label.with_suffix(".jpg").rename(label)
    with pytest.raises(DatasetError, match=r"x\.png: a JPEG by its content, which changes the values"):
        dataset.read_label(0)
