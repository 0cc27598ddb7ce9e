"""Parameter counts of all families against the reference modules, with fields changed at random."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from planner.model.families import FAMILIES
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import parameters
from tests.reality.tables import table


def rows() -> list[dict[str, str]]:
    return table("transformers_parameters.csv")


ROWS = rows()


def counted(row: dict[str, str]) -> int:
    return parameters(architecture_from_config(json.loads(row["config"])))


@pytest.mark.parametrize("model_type", sorted({row["model_type"] for row in ROWS}))
def test_counts_are_those_of_the_reference_modules(model_type: str) -> None:
    own = [row for row in ROWS if row["model_type"] == model_type]
    found = [(row["variant"], counted(row)) for row in own]
    assert found == [(row["variant"], int(row["parameters"])) for row in own]


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    exact = sum(counted(row) == int(row["parameters"]) for row in ROWS)
    types = Counter(row["model_type"] for row in ROWS)
    known = sum(model_type in FAMILIES for model_type in types)
    with capsys.disabled():
        print(f"\nreference modules: {exact} of {len(ROWS)} networks exact, {known} model types")
    assert exact == len(ROWS)
