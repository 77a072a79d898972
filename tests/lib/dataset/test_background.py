"""The background by any spelling."""

import pytest

from fullconv.lib.dataset.background import BACKGROUND, is_background, is_ignored


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


@pytest.mark.parametrize(
    "name, expected", [("__ignore__", True), ("_ignore_", True), ("ignore", False), ("void", False)]
)
def test_what_names_no_label(name, expected):
    assert is_ignored(name) is expected
