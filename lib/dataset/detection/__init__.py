"""Data sets of objects."""
