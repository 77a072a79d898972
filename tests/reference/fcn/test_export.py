"""The fifteen networks, exported: Caffe's recorded scores at two sizes, by every engine."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.fcn.model import Trained
from fullconv.lib.core.exported import exported_in
from fullconv.lib.engines.network import Choice


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_scores(slim_network, network, engine):
    pytest.importorskip(engine)
    slim = slim_network(network)
    opened = exported_in(Trained(slim.net, slim.params).exportable({}), Choice(engine))
    for images, blobs in (("in_", "blob_"), ("alt_in_", "alt_blob_")):
        found = opened.finish(opened.start(slim.images(images)))
        assert list(found) == [f"{head.label}/scores" for head in slim.net.heads]
        for head in slim.net.heads:
            expected = slim.arrays[f"{blobs}{head.score}"]
            np.testing.assert_allclose(found[f"{head.label}/scores"], expected, rtol=0, atol=1e-4)
