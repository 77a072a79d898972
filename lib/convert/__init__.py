"""Weights and networks of other frameworks, in and out."""
