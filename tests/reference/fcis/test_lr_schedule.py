"""Learning rates against the original's scheduler; the two recorded settings are those its README names."""

import numpy as np

from fullconv.lib.core.schedule import MultiFactorSchedule, Warmup

SETTINGS = {
    "a": Warmup(MultiFactorSchedule(5e-4, [40, 60], 0.1), 10, 5e-5),
    "b": MultiFactorSchedule(5e-4, [40]),
}


def test_every_update(fcis_reference):
    recorded = fcis_reference("lr_schedule")
    assert set(recorded) == set(SETTINGS)
    for name, schedule in SETTINGS.items():
        expected = recorded[name]
        np.testing.assert_allclose([schedule(n) for n in range(1, len(expected) + 1)], expected, rtol=1e-12)
