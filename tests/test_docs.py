"""What the documentation names is there: files of ours, links, keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fullconv.fcis import config as fcis_config
from fullconv.fcn import config as fcn_config
from fullconv.lib.experiment import config as base

ROOT = Path(__file__).resolve().parents[1]
MAP = ROOT / "docs" / "coming_from_the_originals.md"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "experiments").glob("*/README.md"))]


def right_columns():
    """The last cell of every row of the map's tables: what is ours."""
    rows = [line for line in MAP.read_text().splitlines() if line.startswith("| ") and not line.startswith("| there")]
    assert len(rows) > 60
    return [row.rstrip("| ").split(" | ")[-1] for row in rows]


def test_the_map_names_files_that_are_there():
    spans = [span for cell in right_columns() for span in re.findall(r"`([^`]+)`", cell)]
    paths = [span for span in spans if re.fullmatch(r"(lib|fcis|fcn|operator_cxx|experiments)/[\w/.]*", span)]
    assert len(paths) > 60
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_map_names_modules_that_are_there():
    modules = [name for cell in right_columns() for name in re.findall(r"python -m fullconv\.([\w.]+)", cell)]
    assert modules and [m for m in modules if not (ROOT / f"{m.replace('.', '/')}.py").is_file()] == []


def test_the_map_names_keys_that_exist():
    known = {key for load in (fcis_config.load, fcn_config.load) for key, _ in base.flatten(load(None))}
    keys = {
        key for cell in right_columns() for key in re.findall(r"\b((?:TRAIN|TEST|default|network|dataset)\.\w+)", cell)
    }
    assert len(keys) > 12 and keys <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    inner = [link for link in links if "://" not in link]
    for link in inner:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, link
