"""instancefcn.classifier.loader: proposals and objects of an image as a batch."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.instancefcn.classifier.loader import ClassifierSource, objects
from fullconv.instancefcn.classifier.targets import SamplingSpec
from fullconv.instancefcn.preprocess import InputSpec
from fullconv.lib.core.sampler import BatchPlan
from fullconv.lib.evaluation.proposal_files import Segments

NONE = Segments([], np.zeros(0))


def source(entries, proposals, flip=False, rois=12):
    return ClassifierSource(entries, proposals, InputSpec((128,), flip=flip), SamplingSpec(rois), 6)


def batch(given, *indices):
    return given.make(BatchPlan(0, tuple(range(len(indices))), indices))


def test_objects_are_proposals_too(shapes):
    """Without proposals, an image's objects are all there is: of their classes, their boxes right."""
    entries = shapes.entries()
    made = batch(source(entries, [NONE] * len(entries)), 0, 1)
    for image, entry in enumerate(entries[:2]):
        labels = made["labels"][image]
        real = labels != -1
        assert sorted(labels[real]) == sorted(entry.classes) and (made["seg_labels"][image] == labels).all()
        assert not made["box_targets"][image].any(), "nothing to correct"
        assert made["box_weights"][image].sum() == 4 * len(entry.classes)
        assert (made["rois"][image, :, 0] == image).all()
        scaled = np.sort(entry.boxes * 128 / entry.height, axis=0)
        np.testing.assert_allclose(np.sort(made["rois"][image, real, 1:], axis=0), scaled, rtol=1e-5)
        assert 0.2 < made["masks"][image, real].mean() <= 1 and not made["masks"][image, ~real].any()


def test_mirrored_it_is_the_mirror_image(shapes):
    entries = shapes.entries()
    (_, codes), _ = objects(entries[1])
    # Proposals that are half right, so that boxes are corrected.
    proposals = [NONE, Segments(codes[:1], np.ones(1)), *[NONE] * 4]
    found = {}
    for place in range(12):
        made = source(entries, proposals, flip=True).make(BatchPlan(0, (place,), (1,)))
        plain = source(entries, proposals).make(BatchPlan(0, (place,), (1,)))
        found[np.array_equal(made["data"], plain["data"])] = (made, plain)
    assert len(found) == 2, "some of them are mirrored and some are not"
    made, plain = found[False]
    np.testing.assert_array_equal(made["masks"], plain["masks"][..., ::-1])
    width = entries[1].width * 128 / entries[1].height
    real = made["labels"][0] != -1
    ends = width - 128 / entries[1].height - plain["rois"][0, real][:, [3, 1]]
    np.testing.assert_allclose(made["rois"][0, real][:, [1, 3]], ends, atol=1e-3)


@pytest.mark.parametrize("rois", [1, 40])
def test_any_number_of_rows(shapes, rois):
    entries = shapes.entries()
    made = batch(source(entries, [NONE] * len(entries), rois=rois), 0)
    shapes_ = source(entries, [NONE] * len(entries), rois=rois).largest_shapes(1)
    assert all(made[name].shape == shape for name, shape in shapes_.items())
