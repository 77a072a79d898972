"""Learning rates by update number."""

import pytest

from fullconv.lib.core.schedule import LINEAR, MultiFactorSchedule, PolySchedule, Warmup


def test_warmup_then_steps():
    schedule = Warmup(MultiFactorSchedule(1.0, [5, 8], 0.1), 3, 0.25)
    assert [round(schedule(n), 6) for n in (1, 2, 3, 5, 6, 8, 9)] == [0.25, 0.25, 1, 1, 0.1, 0.1, 0.01]


def test_poly_is_caffes():
    schedule = Warmup(PolySchedule(2.0, 10, 0.9), 3, 0.25)
    assert [schedule(n) for n in (1, 2)] == [0.25, 0.25]
    assert [schedule(n) for n in (3, 10)] == pytest.approx([2 * 0.8**0.9, 2 * 0.1**0.9])
    assert PolySchedule(2.0, 10)(1) == 2.0
    assert PolySchedule(2.0, 10)(11) == PolySchedule(2.0, 10)(12) == 0


def test_linear_warmup_rises_in_equal_parts_from_its_first_rate():
    schedule = Warmup(MultiFactorSchedule(1.0), 5, 0.2, LINEAR)
    assert [schedule(n) for n in (1, 2, 3, 4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert schedule(5) == schedule(6) == 1.0


def test_without_warmup_nothing_is_changed():
    schedule = MultiFactorSchedule(0.1, [2])
    assert [Warmup(schedule, 0, 0.0)(n) for n in (1, 2, 3)] == [schedule(n) for n in (1, 2, 3)]
