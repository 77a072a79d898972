"""Five solver configurations, five steps each: loss, weights and biases against Caffe and the float64 formula."""

from __future__ import annotations

import re

import mxnet as mx
import numpy as np

from fullconv.lib.core.trainer import Trainer
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose
from tests.reference.fcn.losses import EXACT, RECORDED


def rate(case, step):
    """Learning rate of a step (from 0) under the policies that are recorded."""
    drop = re.search(r"stepsize: *(\d+) *gamma: *([\d.]+)", case["policy"])
    return case["lr"] * (float(drop.group(2)) ** (step // int(drop.group(1))) if drop else 1)


def trainer_of(case, arrays):
    weight, data, label = arrays["w0"], arrays["x"][:1], arrays["label"][:1]
    mults = tuple(zip(case["lm"], case["dm"]))
    normalization = {"false": "batch", "true": "valid"}[case["norm"]]
    layers = [
        rows.data("data", data.shape[1]),
        rows.data("label", 1),
        rows.convolution("score", "data", len(weight), weight.shape[2], mults=mults),
        rows.softmax_loss("loss", "score", "label", normalization, 255),
    ]
    trainer = Trainer(
        compose(layers)["loss"],
        [mx.cpu()],
        {"data": data.shape, "label": label.shape},
        momentum=case["mom"],
        wd=case["wd"],
        accumulate=case["it"],
        rescale_grad=1 / case["it"],
    )
    trainer.set_params({"score_weight": mx.nd.array(weight), "score_bias": mx.nd.array(arrays["b0"])}, {})
    return trainer


def test_five_steps(fcn_reference, fcn_json):
    arrays, cases = fcn_reference("sgd"), fcn_json("sgd_cases")
    for name, case in cases.items():
        trainer = trainer_of(case, arrays)
        for step in range(len(arrays[f"{name}_caffe_w"])):
            images = range(step * case["it"], (step + 1) * case["it"])
            batches = [{"data": arrays["x"][i : i + 1], "label": arrays["label"][i : i + 1]} for i in images]
            losses = []
            trainer.step(
                batches, rate(case, step), lambda _, out, losses=losses: losses.append(float(out[0].asscalar()))
            )
            params, where = trainer.get_params()[0], f"{name}, step {step}"
            np.testing.assert_allclose(losses[-1], arrays[f"{name}_caffe_lastloss"][step], rtol=RECORDED, err_msg=where)
            np.testing.assert_allclose(np.mean(losses), arrays[f"{name}_f64_loss"][step], rtol=EXACT, err_msg=where)
            for engine in ("caffe", "f64"):
                for key, ours in (("w", "score_weight"), ("b", "score_bias")):
                    expected = arrays[f"{name}_{engine}_{key}"][step]
                    np.testing.assert_allclose(params[ours].asnumpy(), expected, rtol=0, atol=1e-6, err_msg=where)
