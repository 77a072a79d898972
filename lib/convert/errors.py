"""The error of a file that cannot be converted."""

from __future__ import annotations

from fullconv.lib.core.params_file import CheckpointError


class ConvertError(CheckpointError):
    """A foreign file that cannot be read or used; the text names the file, the layer, the value and the remedy."""
