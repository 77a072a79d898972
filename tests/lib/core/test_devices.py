"""Options to devices."""

import mxnet as mx
import pytest

from lib.core.devices import parse_devices


def test_processors():
    assert parse_devices() == [mx.cpu(0)]
    assert parse_devices(devices="cpu") == [mx.cpu(0)]
    assert parse_devices(gpus="0,1", devices="cpu:3") == [mx.cpu(0), mx.cpu(1), mx.cpu(2)]


@pytest.mark.parametrize("options", [{"devices": "tpu"}, {"devices": "cpu:x"}, {"devices": "cpu:0"}, {"gpus": "0;1"}])
def test_nonsense_is_named(options):
    with pytest.raises(ValueError, match=next(iter(options.values())).replace("+", "")):
        parse_devices(**options)


@pytest.mark.skipif(mx.context.num_gpus() > 0, reason="needs a machine without GPU")
def test_without_gpu_the_published_setting_runs_on_one_processor_and_says_so(capsys):
    assert parse_devices(gpus="0,1,2,3") == [mx.cpu(0)]
    assert "grad_accumulate 4" in capsys.readouterr().out
    with pytest.raises(ValueError, match="lib.env"):
        parse_devices(devices="gpu:0")
