"""Logging and drawing."""
