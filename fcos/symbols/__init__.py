"""FCOS networks."""
