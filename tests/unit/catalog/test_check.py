"""Each integrity rule speaks when a catalog breaks it, and only then."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from planner.catalog import Catalog, load_catalog
from planner.catalog.check import check, errors
from planner.catalog.schema import Repository

BEFORE = datetime.date(2020, 1, 1)
ODD_REPOSITORY = Repository(kind="gguf", id="a/b", quantizations=("Q4",), source="a page")


def broken(table: str, name: str, **changes: Any) -> Catalog:
    """The shipped catalog with some fields of one row changed."""
    catalog = load_catalog()
    rows: dict[str, Any] = dict(getattr(catalog, table))
    rows[name] = rows[name].model_copy(update=changes)
    return dataclasses.replace(catalog, **{table: MappingProxyType(rows)})


def without(table: str, name: str) -> Catalog:
    """The shipped catalog without one row."""
    catalog = load_catalog()
    rows: Mapping[str, Any] = getattr(catalog, table)
    kept = {key: row for key, row in rows.items() if key != name}
    return dataclasses.replace(catalog, **{table: MappingProxyType(kept)})


def said(catalog: Catalog) -> set[tuple[str, str, str]]:
    return {(found.table, found.name, found.field) for found in errors(check(catalog))}


BREACHES = [
    ("models", "kimi-k3", {"aliases": ("moonshotai/KIMI-K2.5",)}, "aliases"),
    ("models", "kimi-k3", {"family": "Kimi"}, "family"),
    ("models", "kimi-k3", {"recommended": "Q4"}, "recommended"),
    ("models", "kimi-k3", {"repositories": (ODD_REPOSITORY,)}, "repositories"),
    ("gpus", "h100-sxm-80", {"source": " "}, "source"),
    ("gpus", "h100-sxm-80", {"sources": {"wattage": "a page"}}, "sources.wattage"),
    ("gpus", "h100-sxm-80", {"sources": {"power": ""}}, "sources.power"),
    ("gpus", "gh200-96", {"sources": {"usable_memory": "a page"}}, "sources.usable_memory"),
    ("gpus", "h100-sxm-80", {"nominal_memory": "eighty"}, "nominal_memory"),
    ("gpus", "h100-sxm-80", {"usable_memory": 81_921 * 2**20}, "usable_memory"),
    ("gpus", "h100-sxm-80", {"usable_memory": 40_000 * 2**20}, "usable_memory"),
    ("gpus", "h100-sxm-80", {"reserved_memory": 81_559 * 2**20}, "reserved_memory"),
    ("gpus", "apple-m5-ultra-256", {"usable_memory": 2**37}, "usable_memory"),
    ("gpus", "apple-m5-ultra-256", {"unified": False}, "setting"),
    ("gpus", "mi300x-192", {"memory_bandwidth": 10_300 * 10**9}, "memory_bandwidth"),
    ("gpus", "h100-sxm-80", {"dense_fp8": 3_958e12}, "dense_fp8"),
    ("gpus", "h100-sxm-80", {"power": 0.0}, "power"),
    ("nodes", "dgx-h100", {"gpu": "h100"}, "gpu"),
    ("nodes", "dgx-h100", {"fabric": "nvlink9"}, "fabric"),
    ("nodes", "dgx-h100", {"networks": ("tin-cans",), "built_in_networks": ()}, "networks"),
    ("nodes", "strix-halo-128", {"built_in_networks": ("qsfp-200g",)}, "built_in_networks"),
    ("nodes", "dgx-spark-pair", {"machines": 3}, "machines"),
    ("nodes", "rtx-pro-6000-x4", {"gpus": 3}, "parts"),
    ("nodes", "aws-p5", {"instance": None}, "instance"),
    ("nodes", "a6000-x4", {"availability": "new"}, "availability"),
    ("prices", "dgx-h100", {"low": Decimal(280_000)}, "mid"),
    ("prices", "dgx-h100", {"high": Decimal(260_000)}, "mid"),
    ("prices", "dgx-h100", {"kind": "hourly"}, "kind"),
    ("prices", "aws-p5", {"kind": "purchase"}, "kind"),
    ("prices", "dgx-h100", {"date": datetime.date(2030, 1, 1)}, "date"),
    ("links", "nvlink4", {"achieved_per_direction": 451 * 10**9}, "achieved_per_direction"),
    ("networks", "qsfp-200g", {"achieved_per_direction": 26 * 10**9}, "achieved_per_direction"),
    ("networks", "qsfp-200g", {"hop_low": 0.1e-3}, "hop_best"),
    ("networks", "qsfp-200g", {"ports": 2}, "ports"),
    ("networks", "qsfp-200g", {"cable": Decimal(-1)}, "adapter"),
    ("engine_builds", "b11434", {"default": False}, "default"),
]


@pytest.mark.parametrize(("table", "name", "changes", "field"), BREACHES)
def test_a_breach_is_named_with_row_and_field(
    table: str, name: str, changes: dict[str, Any], field: str
) -> None:
    assert (table.removesuffix("s"), name, field) in said(broken(table, name, **changes))


def test_a_setting_must_raise_the_memory() -> None:
    gpu = load_catalog().gpu("apple-m5-ultra-256")
    assert gpu.setting is not None
    flat = gpu.setting.model_copy(update={"default": gpu.setting.memory})
    assert ("gpu", gpu.name, "setting.default") in said(broken("gpus", gpu.name, setting=flat))


def test_a_setting_is_the_usable_memory() -> None:
    gpu = load_catalog().gpu("apple-m5-ultra-256")
    assert gpu.setting is not None
    more = gpu.setting.model_copy(update={"memory": gpu.setting.memory + 2**20})
    assert ("gpu", gpu.name, "setting.memory") in said(broken("gpus", gpu.name, setting=more))


def test_a_part_must_be_priced() -> None:
    found = said(without("prices", "rtx-pro-6000-ws-96"))
    assert ("node", "rtx-pro-6000-x4", "parts") in found


def test_a_node_of_parts_has_no_price_of_its_own() -> None:
    catalog = load_catalog()
    row = catalog.prices["dgx-spark"].model_copy(update={"name": "dgx-spark-pair"})
    prices = MappingProxyType({**catalog.prices, row.name: row})
    found = said(dataclasses.replace(catalog, prices=prices))
    assert ("node", "dgx-spark-pair", "parts") in found


def test_a_rented_node_has_no_parts() -> None:
    parts = load_catalog().node("dgx-spark-pair").parts
    assert ("node", "aws-p5", "parts") in said(broken("nodes", "aws-p5", parts=parts))


@pytest.mark.parametrize("network", ["cloud-azure", "ethernet-10g"])
def test_rented_machines_never_mix(network: str) -> None:
    changed = broken("nodes", "aws-p5", networks=("cloud-aws", network))
    assert ("network", network, "") in said(changed)


def test_a_clock_finds_rows_of_the_future() -> None:
    catalog = load_catalog()
    assert not [found for found in errors(check(catalog)) if found.field == "checked"]
    late = [found for found in errors(check(catalog, today=BEFORE)) if found.field == "checked"]
    assert {found.name for found in late} >= set(catalog.gpus)


def test_missing_prices_and_memory_are_listed_without_being_errors() -> None:
    listed = {
        (found.table, found.name) for found in check(load_catalog()) if found.level == "missing"
    }
    assert {("node", "hgx-h200-8"), ("node", "aws-p6-b300"), ("gpu", "gh200-96")} <= listed
    assert ("node", "dgx-h100") not in listed


def test_a_lost_price_joins_the_list() -> None:
    listed = {
        found.name for found in check(without("prices", "dgx-h100")) if found.level == "missing"
    }
    assert "dgx-h100" in listed


def test_prices_over_90_days_old_are_listed() -> None:
    stale = {found.name for found in check(load_catalog()) if found.level == "stale"}
    assert {"dgx-h100", "dgx-b200", "barebone-8gpu-pcie5"} <= stale
    assert "aws-p5" not in stale


def test_a_row_without_any_source_is_listed_whole() -> None:
    findings = check(load_catalog())
    whole = {found.name for found in findings if found.level == "unverified" and not found.field}
    assert "mi300a-128" in whole


def test_an_unverified_field_of_a_model_is_listed() -> None:
    catalog = broken("models", "kimi-k3", sources={"config": "unverified"})
    listed = [found for found in check(catalog) if found.table == "model"]
    assert [(f.level, f.name, f.field) for f in listed] == [("unverified", "kimi-k3", "config")]


@pytest.mark.parametrize(
    ("kind", "quant", "found"),
    [
        ("checkpoint", "FP8", False),
        ("checkpoint", "F16", False),
        ("gguf", "BF16", False),
        ("gguf", "Q4_K_M", False),
        ("checkpoint", "Q4_K_M", True),
        ("gguf", "FP8", True),
        ("gguf", "Q4_K_XXL", True),
    ],
)
def test_files_of_a_repository_can_be_in_what_it_lists(kind: str, quant: str, found: bool) -> None:
    shelf = Repository.model_validate(
        {"kind": kind, "id": "someone/something", "quantizations": (quant,), "source": "mine"}
    )
    breaches = said(broken("models", "kimi-k3", repositories=(shelf,)))
    assert (("model", "kimi-k3", "repositories") in breaches) is found
