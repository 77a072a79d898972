"""Learning rates by update number. Pure functions of the number (the first update is 1), so resuming needs no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

Schedule = Callable[[int], float]
"""Learning rate by update number, from 1."""

CONSTANT, LINEAR = "constant", "linear"
WARMUP_FORMS = (CONSTANT, LINEAR)


@dataclass(frozen=True)
class MultiFactorSchedule:
    """`base_lr` times `factor` for every entry of `steps` that the update number exceeds (MXNet's scheduler)."""

    base_lr: float
    steps: Sequence[int] = ()
    factor: float = 0.1

    def __call__(self, num_update: int) -> float:
        lr = self.base_lr
        for step in self.steps:
            if num_update > step:
                lr *= self.factor
        return lr


@dataclass(frozen=True)
class PolySchedule:
    """Caffe's `poly`: `base_lr (1 - i / last)^power` at iteration i from 0, which is update i + 1; 0 after `last`
    updates.
    """

    base_lr: float
    last: int
    power: float = 1.0

    def __call__(self, num_update: int) -> float:
        return self.base_lr * max(0.0, 1 - (num_update - 1) / self.last) ** self.power


@dataclass(frozen=True)
class Warmup:
    """Another schedule, behind a slow start of the update numbers below `step`.

    constant: `lr` (FCIS; Goyal et al. 2017, section 2.2). linear: from `lr` at update 1 in equal parts to what the
    schedule says at update `step`.
    """

    schedule: Schedule
    step: int
    lr: float
    form: str = CONSTANT

    def __call__(self, num_update: int) -> float:
        after = self.schedule(num_update)
        if num_update >= self.step:
            return after
        if self.form == CONSTANT:
            return self.lr
        # Update 1 has none of the way behind it and update `step` all of it, which is step - 1 parts.
        return self.lr + (after - self.lr) * (num_update - 1) / (self.step - 1)
