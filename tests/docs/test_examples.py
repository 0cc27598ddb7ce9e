"""The examples load, hold together, and the tested versions are all there."""

from __future__ import annotations

import datetime
import itertools
import re
import tomllib

import pytest

from docs.console import ROOT
from planner.catalog import load_catalog
from planner.catalog.check import check, errors

TODAY = datetime.date(2026, 11, 25)
OVERLAYS = ("examples/overlay", "examples/price.toml")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_breaks_no_rule(overlay: str) -> None:
    rows = load_catalog((ROOT / overlay,))
    assert errors(check(rows, TODAY)) == errors(check(load_catalog(), TODAY))


def test_the_overlay_adds_a_card_a_machine_and_its_price() -> None:
    rows, shipped = load_catalog((ROOT / "examples/overlay",)), load_catalog()
    assert set(rows.gpus) - set(shipped.gpus) == {"own-card-48"}
    assert set(rows.nodes) - set(shipped.nodes) == {"own-box"}
    assert set(rows.prices) - set(shipped.prices) == {"own-box"}
    assert rows.overridden == ()


def test_every_example_is_on_the_page() -> None:
    page = (ROOT / "examples/README.md").read_text()
    files = [path for path in ROOT.glob("examples/**/*") if path.suffix in (".toml", ".py")]
    assert len(files) == 3
    for path in files:
        assert f"({path.relative_to(ROOT / 'examples')})" in page


def test_constraints_pin_every_requirement_to_one_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines)
    assert len(pins) == len(lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = dict(project["optional-dependencies"])
    extras.pop("engines")  # vLLM pins versions of its own: installed without constraints
    asked = [project["dependencies"], *extras.values()]
    needed = {folded(re.match(r"[\w-]+", line)[0]) for line in itertools.chain(*asked)}
    assert needed - {project["name"]} <= {folded(name) for name in pins}


def folded(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
