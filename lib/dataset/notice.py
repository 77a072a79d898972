"""What a reader decided about data that could be meant in two ways: said once, wherever the log goes."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
_said: set[str] = set()


def say_once(text: str) -> None:
    """Log `text`, unless it was logged before: a set is read several times in one run."""
    if text not in _said:
        _said.add(text)
        logger.warning(text)
