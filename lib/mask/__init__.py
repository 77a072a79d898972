"""Instance masks: rasterising, resizing, pasting, encoding and voting."""
