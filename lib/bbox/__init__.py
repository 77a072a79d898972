"""Boxes x1, y1, x2, y2 with inclusive pixel ends: overlap, regression transform, clipping and filters."""
