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
                # One step after the other, as MXNet multiplies: a power differs in the last bit.
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
        # A negative base would have complex roots.
        return self.base_lr * max(0.0, 1 - (num_update - 1) / self.last) ** self.power


@dataclass(frozen=True)
class Warmup:
    """Another schedule, behind a slow start of the update numbers below `step`.

    constant: `lr` (FCIS; Goyal et al. 2017, section 2.2). linear: from `lr` at update 1 in equal parts to what the
    schedule says at update `step`. Who counts n iterations of warm-up from 0 has `step` n + 1.

    Raises ValueError: another form.
    """

    schedule: Schedule
    step: int
    lr: float
    form: str = CONSTANT

    def __post_init__(self) -> None:
        if self.form not in WARMUP_FORMS:
            raise ValueError(f"the form of the warm-up is {self.form!r}: known are {', '.join(WARMUP_FORMS)}")

    def __call__(self, num_update: int) -> float:
        after = self.schedule(num_update)
        if num_update >= self.step:
            return after
        way = 0.0 if self.form == CONSTANT else (num_update - 1) / (self.step - 1)
        return self.lr + (after - self.lr) * way
