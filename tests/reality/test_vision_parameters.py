"""Parameters of vision towers against published totals and the reference modules."""

from __future__ import annotations

import json

import pytest

from planner.model.vision import Tower, vision_parameters, vision_tower
from tests.reality.tables import table


def rows() -> list[dict[str, str]]:
    return table("vision_parameters.csv")


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_towers_are_exact(row: dict[str, str]) -> None:
    config = json.loads(row["config"])
    tower = vision_tower(config)
    assert isinstance(tower, Tower)
    assert tower.parameters == int(row["parameters"]) == vision_parameters(config)
    assert 0 < tower.projector < tower.encoder


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    published = sum(row["check"] == "total" for row in ROWS)
    exact = sum(
        vision_parameters(json.loads(row["config"])) == int(row["parameters"]) for row in ROWS
    )
    with capsys.disabled():
        print(f"\nvision towers: {exact} of {len(ROWS)} exact, {published} of published models")
    assert exact == len(ROWS)
