"""What can go wrong on the way into a file."""

from __future__ import annotations


class ExportError(ValueError):
    """A network that cannot be exported; the text names the layer and what to do."""
