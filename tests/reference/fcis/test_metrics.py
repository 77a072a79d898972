"""The eight training metrics against the original's after one update."""

import mxnet as mx
import numpy as np

from fullconv.fcis.metric import GLOSSARY, OUTPUT_NAMES, fcis_metrics


def test_one_update(fcis_reference):
    recorded = fcis_reference("metrics")
    arrays = {name: mx.nd.array(recorded[name].astype("float32")) for name in OUTPUT_NAMES}
    arrays["proposal_label"] = mx.nd.array(recorded["rpn_label"])
    metrics = fcis_metrics()
    metrics.update(arrays)
    values = metrics.values()
    assert list(values) == list(GLOSSARY)
    for name, value in values.items():
        np.testing.assert_allclose(value, recorded[name], rtol=1e-5, err_msg=name)


def test_two_updates_average_over_both(fcis_reference):
    recorded = fcis_reference("metrics")
    arrays = {name: mx.nd.array(recorded[name].astype("float32")) for name in OUTPUT_NAMES}
    arrays["proposal_label"] = mx.nd.array(recorded["rpn_label"])
    once, twice = fcis_metrics(), fcis_metrics()
    once.update(arrays)
    twice.update(arrays)
    twice.update(arrays)
    for name, value in once.values().items():
        np.testing.assert_allclose(twice.values()[name], value, rtol=1e-6, err_msg=name)
