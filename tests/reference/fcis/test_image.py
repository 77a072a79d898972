"""lib.dataset.image against recorded outputs of the original FCIS (image.npz); 1 grey level is allowed."""

import numpy as np
import pytest

from fullconv.lib.dataset.image import resize_image, scale_boxes, tensor_to_image, to_tensor

# The original's network.PIXEL_MEANS (B, G, R), which the recorded tensors were made with.
PIXEL_MEANS = (103.06, 115.90, 123.15)


@pytest.fixture
def arrays(fcis_reference):
    return fcis_reference("image")


def _cases(arrays):
    return [key[: -len("_args")] for key in arrays if key.endswith("_args")]


def test_resize(arrays):
    assert _cases(arrays)
    for case in _cases(arrays):
        image, scale = resize_image(arrays[f"{case}_im"], *arrays[f"{case}_args"].tolist())
        expected = arrays[f"{case}_resized"]
        assert image.shape == expected.shape, case
        assert scale == pytest.approx(float(arrays[f"{case}_scale"]), abs=1e-12), case
        assert np.abs(image.astype(float) - expected).max() <= 1, case


def test_tensor(arrays):
    for case in _cases(arrays):
        resized = arrays[f"{case}_resized"].astype(np.uint8)
        np.testing.assert_array_equal(to_tensor(resized, PIXEL_MEANS), arrays[f"{case}_tensor"], err_msg=case)


def test_inverse(arrays):
    """The recorded image is in R, G, B order, made from the tensor of its size."""
    inverse = arrays["inverse"]
    images = [
        tensor_to_image(arrays[f"{case}_tensor"], PIXEL_MEANS)
        for case in _cases(arrays)
        if arrays[f"{case}_tensor"].shape[2:] == inverse.shape[:2]
    ]
    assert min(np.abs(image[..., ::-1].astype(int) - inverse).max() for image in images) <= 1


def test_boxes(arrays):
    """The record does not name the scale; it is that of the case whose image has the recorded shape."""
    shape = arrays["boxes_shape"].tolist()
    scales = [
        float(arrays[f"{case}_scale"]) for case in _cases(arrays) if list(arrays[f"{case}_resized"].shape) == shape
    ]
    assert any(
        np.array_equal(scale_boxes(arrays["boxes_uint16"], scale, shape), arrays["boxes_scaled"]) for scale in scales
    )


def test_common_sizes(arrays):
    for (height, width), expected in zip(arrays["common_sizes_hw"], arrays["common_out_h_w_scale"]):
        image, scale = resize_image(np.zeros((height, width, 3), np.uint8), 600, 1000)
        np.testing.assert_allclose([*image.shape[:2], scale], expected, rtol=1e-12)
