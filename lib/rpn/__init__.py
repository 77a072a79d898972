"""Anchors and training targets of the region proposal network."""
