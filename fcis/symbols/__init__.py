"""FCIS networks."""
