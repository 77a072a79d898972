"""Networks that come from Caffe, as tables of layers."""
