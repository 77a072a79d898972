"""The background by any spelling."""

import pytest

from fullconv.lib.dataset.background import BACKGROUND, is_background


@pytest.mark.parametrize(
    "name, expected",
    [
        (BACKGROUND, True),
        ("__background__", True),
        ("_background_", True),
        ("background", True),
        ("Background", True),
        ("back", False),
        ("backgrounds", False),
        ("", False),
        ("sky", False),
    ],
)
def test_spellings(name, expected):
    assert is_background(name) is expected
