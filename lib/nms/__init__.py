"""Greedy non-maximum suppression with the three rules found in published code."""
