"""Parameter counts from a config alone against published totals, to the last parameter."""

from __future__ import annotations

import json

import pytest

from planner.model.huggingface import architecture_from_config
from planner.model.parameters import active_parameters, mtp_parameters, parameters
from tests.reality.tables import table


def rows() -> list[dict[str, str]]:
    return table("model_parameters.csv")


def counted(row: dict[str, str]) -> tuple[int, int, int]:
    network = architecture_from_config(json.loads(row["config"]))
    return parameters(network), mtp_parameters(network), active_parameters(network)


def published(row: dict[str, str]) -> tuple[int, int, int]:
    return int(row["text"]), int(row["mtp"]), int(row["active"])


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["id"])
def test_text_mtp_and_active_parameters_are_exact(row: dict[str, str]) -> None:
    assert counted(row) == published(row)


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    table = rows()
    exact = sum(counted(row) == published(row) for row in table)
    types = {json.loads(row["config"]).get("model_type") for row in table}
    with capsys.disabled():
        print(f"\nparameters: {exact} of {len(table)} models exact, {len(types)} model types")
    assert exact == len(table)
