"""Cache sizes against what engines printed and public reports say (`kv_reports.toml`)."""

from __future__ import annotations

import json
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from planner.model.architecture import Architecture, Grouped
from planner.model.cache import cache_bytes
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import active_parameters, parameters
from tests.reality.tables import table

FOLDER = Path(__file__).parent
TABLE = tomllib.loads((FOLDER / "kv_reports.toml").read_text(encoding="utf-8"))
UNITS = {"B": 1, "MiB": 2**20, "GiB": 2**30, "GB": 10**9}


def configs() -> dict[str, Any]:
    rows = table("model_parameters.csv")
    return {row["id"]: json.loads(row["config"]) for row in rows} | TABLE["config"]


def network(row: dict[str, Any]) -> Architecture:
    found = architecture_from_config(configs()[row.get("model") or row["config"]])
    return found.model_copy(update={"decodes": not row.get("embedding", False)})


def size_of(row: dict[str, Any]) -> int:
    groups = cache_bytes(
        network(row),
        row.get("context", 1000),
        row.get("dtype", "f16"),
        index_dtype=row.get("index_dtype"),
    )
    kinds = {"context", "window", "constant", "nothing"}
    wanted = {row["growth"]} if "growth" in row else kinds
    return sum(group.bytes for group in groups if group.growth in wanted)


def printed(size: Fraction, like: str) -> str:
    """`size` bytes in the unit and with the digits of `like`."""
    number, unit = like.split()
    digits = len(number.partition(".")[2])
    return f"{float(size / UNITS[unit]):.{digits}f} {unit}"


def bytes_of(text: str) -> Fraction:
    number, unit = text.split()
    return Fraction(number) * UNITS[unit]


@pytest.mark.parametrize("row", TABLE["right"], ids=lambda row: row["what"])
def test_the_cache_is_what_was_printed(row: dict[str, Any]) -> None:
    size = Fraction(size_of(row), row.get("devices", 1))
    assert printed(size, row["cache"]) == row["cache"]
    assert size <= bytes_of(row.get("at_most", row["cache"])) * Fraction(1001, 1000)


@pytest.mark.parametrize("row", TABLE["wrong"], ids=lambda row: row["source"])
def test_a_wrong_figure_is_explained_by_its_factor(row: dict[str, Any]) -> None:
    assert printed(size_of(row) * Fraction(*row["factor"]), row["reported"]) == row["reported"]
    assert printed(Fraction(size_of(row)), row["reported"]) != row["reported"]


@pytest.mark.parametrize("row", TABLE["naive"], ids=lambda row: row["source"])
def test_a_naive_count_is_too_large_by_the_reported_factor(row: dict[str, Any]) -> None:
    layers = network(row).layers
    growing = [layer.mixer for layer in layers if isinstance(layer.mixer, Grouped)]
    if row["counts"] == "every layer":
        assert sum(not layer.mtp for layer in layers) == row["factor"] * len(growing)
    else:
        assert {mixer.heads // mixer.kv_heads for mixer in growing} == {row["factor"]}


@pytest.mark.parametrize("row", TABLE["weights"], ids=lambda row: row["source"])
def test_all_experts_must_be_in_memory(row: dict[str, Any]) -> None:
    found, share = network(row), Fraction(row["bits_per_weight"]) / 8
    assert printed(parameters(found) * share, row["all"]) == row["all"]
    assert printed(active_parameters(found) * share, row["active"]) == row["active"]
