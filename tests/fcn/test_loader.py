"""Preprocessing, orders and batches of whole images."""

import numpy as np
import pytest

from fullconv.fcn.crops import find_regions
from fullconv.fcn.loader import ImageSource
from fullconv.fcn.preprocess import depth_tensor, image_tensor, input_tensor
from fullconv.fcn.sampling import ORDERS, order_of
from fullconv.fcn.symbols import FCN, NETWORKS
from fullconv.fcn.targets import feeds
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.prefetch import LoaderError
from fullconv.lib.core.sampler import EndlessSampler
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.base import SegmentationSet


class Memory(SegmentationSet):
    """Random images and labels of given sizes, with colour and depth."""

    def __init__(self, sizes, label_sizes=None):
        rng = np.random.RandomState(0)
        means = {"color": np.array([1.0, 2.0, 3.0]), "depth": np.array([0.5], np.float32)}
        super().__init__("memory", [str(i) for i in range(len(sizes))], {"label": ["a", "b"]}, means)
        self.colours = [rng.randint(0, 256, size + (3,)).astype(np.uint8) for size in sizes]
        self.depths = [rng.randint(1, 9000, size).astype(np.uint16) for size in sizes]
        self.targets = [rng.randint(0, 2, size).astype(np.uint8) for size in label_sizes or sizes]

    def size(self, index):
        return self.colours[index].shape[:2]

    def image_file(self, index, name="color"):
        return f"{index}.png"

    def read_input(self, index, name="color"):
        return (self.depths if name == "depth" else self.colours)[index]

    def read_label(self, index, task="label", check=True):
        if ((self.targets[index] > 1) & (self.targets[index] < 255)).any():
            raise DatasetError(f"{index}.png: label out of range")
        return self.targets[index]


def loader(source, length, order="sequential", workers=2):
    """Pieces of `length` batches, as a training takes them."""
    sampler = EndlessSampler(order_of(order, len(source.dataset), 1337), length, source.batch)
    return EpochLoader(sampler, source, workers)


def indices(name, count, seed, start, number):
    return order_of(name, count, seed)(start, number)


def test_image_tensor_is_the_plain_subtraction_in_the_means_precision():
    image = np.random.RandomState(1).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    for dtype in (np.float32, np.float64):
        mean = np.array([104.00699, 116.66877, 122.67892], dtype)
        plain = image.astype(np.float32)
        plain -= mean
        assert np.array_equal(image_tensor(image, mean)[0], plain.transpose(2, 0, 1))


def test_depth_tensor_is_the_logarithm_minus_the_mean():
    depth = np.array([[1, 2, 65535]], np.uint16)
    tensor = depth_tensor(depth, np.array([7.844]))
    assert tensor.shape == (1, 1, 1, 3) and tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, 0], np.log([[1.0, 2.0, 65535.0]]) - 7.844, atol=1e-6)


@pytest.mark.parametrize(
    "name, pixels, mean, message",
    [
        ("data", np.zeros((4, 4), np.uint8), np.zeros(3), "must be .h, w, 3. uint8"),
        ("data", np.zeros((4, 4, 3), np.float32), np.zeros(3), "must be .h, w, 3. uint8"),
        ("data", np.zeros((4, 4, 3), np.uint8), np.zeros(4), "three numbers"),
        ("depth", np.zeros((4, 4), np.uint16), np.zeros(1), "positive"),
    ],
)
def test_wrong_pixels_are_refused(name, pixels, mean, message):
    with pytest.raises(ValueError, match=message):
        input_tensor(name, pixels, mean)


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_can_be_entered_anywhere(order):
    whole = indices(order, 7, 3, 0, 50)
    assert indices(order, 7, 3, 11, 20) == whole[11:31]
    assert set(whole) <= set(range(7))


def test_shuffle_visits_every_image_once_per_epoch():
    whole = indices("shuffle", 9, 5, 0, 27)
    epochs = [whole[i : i + 9] for i in range(0, 27, 9)]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs) and epochs[0] != epochs[1]
    assert indices("shuffle", 9, 6, 0, 27) != whole


def test_wrong_orders_are_refused():
    with pytest.raises(ValueError, match="known orders are python2"):
        indices("random", 3, 0, 0, 1)
    with pytest.raises(ValueError, match="no images"):
        loader(ImageSource(Memory([])), 1)
    with pytest.raises(ValueError, match="at least one image"):
        loader(ImageSource(Memory([(2, 2)]), batch=0), 1)


def test_a_batch_names_what_the_network_wants():
    data = Memory([(4, 6), (5, 3)])
    batches = loader(ImageSource(data, {"data": "color"}, {"truth": "label"}), 2)
    batch = list(batches.epoch(0))[1]
    assert set(batch) == {"data", "truth"}
    assert batch["data"].shape == (1, 3, 5, 3) and batch["truth"].shape == (1, 1, 5, 3)
    assert np.array_equal(batch["data"][0], image_tensor(data.colours[1], data.means["color"])[0])
    assert batches.items(0, 1) == ["1.png"]


def test_all_forms_by_default_and_largest_shapes():
    source = ImageSource(Memory([(4, 6), (5, 3)]), batch=2)
    assert source.largest_shapes() == {"color": (2, 3, 5, 6), "depth": (2, 1, 5, 6), "label": (2, 1, 5, 6)}
    assert {name: a.shape for name, a in next(loader(source, 1).epoch(0)).items()} == source.largest_shapes()


def test_images_of_one_batch_are_padded_with_mean_and_void():
    batch = next(loader(ImageSource(Memory([(4, 6), (5, 3)]), batch=2), 1).epoch(0))
    assert batch["color"].shape == (2, 3, 5, 6)
    assert (batch["color"][1, :, :, 3:] == 0).all() and (batch["label"][1, 0, :, 3:] == 255).all()
    assert (batch["label"][0, 0, 4:] == 255).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_repeat_and_continue(workers):
    source = ImageSource(Memory([(4, 6), (5, 3), (2, 2)]), batch=2, flip=True)
    whole = list(loader(source, 8, "python2", workers).epoch(0))
    rest = list(loader(source, 4, "python2", workers).epoch(1))
    for a, b in zip(whole[4:], rest):
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_mirroring_moves_image_and_label_together():
    data = Memory([(4, 6)])
    batches = list(loader(ImageSource(data, flip=True), 30).epoch(0))
    mirrored = [not np.array_equal(batch["label"][0, 0], data.targets[0]) for batch in batches]
    assert 5 < sum(mirrored) < 25
    for batch, turned in zip(batches, mirrored):
        image = data.colours[0][:, ::-1] if turned else data.colours[0]
        assert np.array_equal(batch["color"], image_tensor(image, data.means["color"]))


def test_bad_labels_stop_the_run_with_their_name():
    data = Memory([(4, 6)])
    data.targets[0][0] = 9
    with pytest.raises(LoaderError, match="0.png: label out of range"):
        next(loader(ImageSource(data), 1).epoch(0))
    with pytest.raises(LoaderError, match="sizes .height, width. differ"):
        next(loader(ImageSource(Memory([(4, 6)], [(4, 5)])), 1).epoch(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_finds_its_inputs_in_its_set(name):
    net = FCN(NETWORKS[name], width=1 / 16, hidden=8)
    forms = ("color", "depth", "hha") if name.startswith("nyud") else ("data",)
    data = SegmentationSet(
        "set", [], {h.label: list(map(str, range(h.classes))) for h in net.heads}, dict.fromkeys(forms, np.zeros(3))
    )
    inputs, labels = feeds(data, net)
    assert set(inputs) == set(net.inputs) and set(labels) == set(data.tasks)
    assert all(("hha" in form) == ("hha" in i.kind) for form, i in zip(inputs.values(), net.network.inputs))


def test_a_network_for_other_data_is_refused():
    data = Memory([(4, 6)])
    with pytest.raises(ValueError, match="memory has no hha for this network: it has images color, depth"):
        feeds(data, FCN(NETWORKS["nyud-fcn32s-hha"], width=1 / 16, hidden=8))
    with pytest.raises(ValueError, match="memory has no sem, geo"):
        feeds(data, FCN(NETWORKS["siftflow-fcn8s"], width=1 / 16, hidden=8))
    with pytest.raises(ValueError, match="scores 21 classes of label, but memory has 2"):
        feeds(data, FCN(NETWORKS["voc-fcn8s"], width=1 / 16, hidden=8))


def test_a_balanced_order_shows_classes_equally_often_and_full_images_more_often():
    """Class b is in one image of six, twice; a is once in each of them."""
    dataset = Memory([(20, 60)] * 6)
    for target in dataset.targets:
        target[:] = 255
        target[:, 20:40] = 0
    dataset.targets[4][:, :15] = dataset.targets[4][:, 45:] = 1
    images = [[region.image for region in of_class] for of_class in find_regions(dataset, "label")]
    order = order_of("balanced", len(dataset), 3, images)
    drawn = np.array(order(0, 1200))
    counts = np.bincount(drawn, minlength=6)
    assert 640 < counts[4] < 760, "half, and a sixth of the other half"
    assert (np.delete(counts, 4) > 60).all()
    assert order(700, 50) == drawn[700:750].tolist()
    dataset = Memory([(20, 60)])
    dataset.targets[0][:] = 255
    with pytest.raises(DatasetError, match=r"memory has no region .*TRAIN\.order shuffle"):
        find_regions(dataset, "label")
