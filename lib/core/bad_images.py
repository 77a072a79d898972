"""What a training does about images that cannot be read: end, or leave them out, say so, and count."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import List, Set

from fullconv.lib.core.prefetch import PATIENCE, LoaderError

FAIL, SKIP = "fail", "skip"
POLICIES = (FAIL, SKIP)
LIMIT = 0.001
"""Share of an epoch's images that may be left out: more is no longer a scratch in the data but another data set."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Care:
    """patience: see `prefetch`. policy: one of POLICIES. limit: share of an epoch's images that may be left out."""

    patience: float = PATIENCE
    policy: str = FAIL
    limit: float = LIMIT


class LeftOut:
    """The images that were left out so far; threads add to it."""

    def __init__(self) -> None:
        self.names: Set[str] = set()
        self._lock = threading.Lock()

    def add(self, names: List[str], error: Exception, limit: float, images: int) -> None:
        """Count the images of a batch that could not be made, once each. images: of an epoch.

        Raises LoaderError: they are more than `limit` allows.
        """
        with self._lock:
            if self.names.issuperset(names):
                return
            self.names.update(names)
            count = len(self.names)
        what = f"{', '.join(names)}: {type(error).__name__}: {error}"
        if count > limit * images:
            raise LoaderError(
                f"{count} of {images} images could not be read, more than default.bad_images_limit {limit:g} allows; "
                f"the last: {what}. Mend or remove them (fullconv.lib.tools.check lists them all), or raise the limit"
            )
        logger.warning("WARNING left out, %d so far; the next batch takes its place: %s", count, what)
