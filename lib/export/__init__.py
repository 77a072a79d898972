"""From a trained network to an ONNX file, and what such a file says about itself."""
