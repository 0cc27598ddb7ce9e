"""What stands around a plan is true: savings, prices, headroom, the next quantization, rent."""

from __future__ import annotations

import dataclasses
import functools
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.catalog.load import Catalog
from planner.catalog.schema import Node, Price
from planner.request import PlanRequest
from planner.solver.search import Clock
from planner.solver.session import Choice, Session
from planner.subject import subject_of_request
from tests.acceptance.command_line import first_run
from tests.acceptance.hand_built import cut, fits
from tests.acceptance.jobs import JOBS

ANY_PRICE = Decimal(10**8)
OPTIONS: dict[str, dict[str, Any]] = {
    "--used": {"used": True},
    "--mixed-families": {"mixed_families": True},
    "--max-nodes 8": {"max_nodes": 8},
    "--min-speed 0": {"min_speed": 0.0},
}


@pytest.fixture(params=["kimi-k2", "qwen3-235b", "gpt-oss-120b"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@functools.cache
def answer_of(name: str) -> dict[str, Any]:
    return first_run(JOBS[name].line).answer


def cheapest(request: PlanRequest, catalog: Catalog) -> Choice | None:
    session = Session(request=request, catalog=catalog, clock=Clock(request.time_limit))
    return session.optimum(session.formulation(request.quant), "cost")


def other_prices(level: str) -> Catalog:
    """The catalog in which every price is its own low or high end."""
    catalog = load_catalog()

    def ended(row: Price) -> Price:
        end = getattr(row, level) or row.mid
        return row.model_copy(update={"low": end, "mid": end, "high": end})

    prices = {key: ended(row) for key, row in catalog.prices.items()}
    return dataclasses.replace(
        catalog, prices=MappingProxyType(prices), digest=f"{catalog.digest} at {level} prices"
    )


def on_sale(nodes: list[str]) -> Catalog:
    """The catalog in which `nodes` can be bought new."""
    catalog = load_catalog()

    def new(row: Node) -> Node:
        return row.model_copy(update={"availability": "new"}) if row.name in nodes else row

    rows = {key: new(row) for key, row in catalog.nodes.items()}
    return dataclasses.replace(
        catalog, nodes=MappingProxyType(rows), digest=f"{catalog.digest} with {nodes}"
    )


def test_letting_something_in_saves_what_was_said(name: str) -> None:
    answer, request = answer_of(name), JOBS[name].request
    told = {entry["option"]: entry["saving_usd"] for entry in answer["excluded"] if entry["option"]}
    assert set(told) == set(OPTIONS)
    usd = answer["cost"]["purchase_usd"]
    for option, saving in told.items():
        choice = cheapest(request.model_copy(update=OPTIONS[option]), load_catalog())
        assert choice is not None
        assert usd - saving == float(choice.usd), option


def test_what_is_not_sold_any_more_would_save_what_was_said(name: str) -> None:
    answer, request = answer_of(name), JOBS[name].request
    (gone,) = (entry for entry in answer["excluded"] if entry["reason"] == "withdrawn from sale")
    choice = cheapest(request, on_sale(gone["nodes"]))
    assert choice is not None
    assert answer["cost"]["purchase_usd"] - gone["saving_usd"] == float(choice.usd)


def test_every_node_is_searched_or_named_with_a_reason(name: str) -> None:
    answer = answer_of(name)
    bought = {row.name for row in load_catalog().nodes.values() if row.kind != "rented"}
    left_out = [node for entry in answer["excluded"] for node in entry["nodes"]]
    assert len(set(left_out)) == len(left_out)
    assert set(left_out) < bought
    count = len(bought) - len(left_out)
    assert f"whole nodes of {count} types" in answer["solver"]["space"]


def test_other_prices_change_the_choice_as_was_said(name: str) -> None:
    answer = answer_of(name)
    now = {entry["node_type"]: entry["count"] for entry in answer["cluster"]}
    for entry in answer["sensitivity"]:
        if entry["choice"] != "cheapest":
            continue
        choice = cheapest(JOBS[name].request, other_prices(entry["level"]))
        assert choice is not None
        assert entry["cost_usd"] == float(choice.usd)
        assert entry["changed"] == (choice.nodes != now)


def test_the_next_quantization_costs_what_was_said(name: str) -> None:
    answer, catalog = answer_of(name), load_catalog()
    asked = catalog.quantizations[answer["model"]["quant"]]
    following = answer["next_quantization"]
    if following is None:
        row = catalog.models[JOBS[name].request.model]
        (only,) = (entry for entry in row.repositories if entry.kind == "gguf")
        assert only.complete
        assert only.quantizations == (asked.name,)
        return
    row = catalog.quantizations[following["quant"]]
    assert row.rank > asked.rank
    assert following["file_bytes"] > answer["model"]["file_bytes"]
    request = JOBS[name].request.model_copy(update={"quant": row.name, "budget": ANY_PRICE})
    choice = cheapest(request, catalog)
    assert choice is not None
    assert following["cost_usd"] == float(choice.usd)


@pytest.mark.parametrize("job", JOBS)
def test_the_headroom_is_used_up_one_step_further(job: str) -> None:
    answer, request, catalog = answer_of(job), JOBS[job].request, load_catalog()
    nodes = [(catalog.nodes[entry["node_type"]], entry["count"]) for entry in answer["cluster"]]
    network = answer["cost"]["network"]
    window = catalog.models[request.model].config["max_position_embeddings"]

    def holds(**changes: Any) -> bool:
        changed = request.model_copy(update=changes)
        subject = subject_of_request(changed, catalog, request.quant)
        row = None if network is None else catalog.networks[network]
        split = cut(catalog, subject, nodes, row, None)
        return split is not None and fits(catalog, subject, split)

    users, context = answer["headroom"]["concurrency"], answer["headroom"]["context"]
    assert holds(concurrency=users)
    assert users == 256 or not holds(concurrency=users + 1)
    assert holds(context=context)
    assert context == window or not holds(context=context + 256)


def test_rent_is_between_the_cheapest_and_the_dearest_offer() -> None:
    line = "llama-3.1-405b --quant Q4_K_M --only dgx-h100 --min-speed 1"
    answer, catalog = first_run(line).answer, load_catalog()
    offers = [
        catalog.prices[node.name].mid * -(-8 // node.gpus)
        for node in catalog.nodes.values()
        if node.kind == "rented"
        and node.gpu == "h100-sxm-80"
        and catalog.prices[node.name].terms not in ("spot", "reserved")
    ]
    rent = answer["rent_usd_per_hour"]
    assert (rent["high"], rent["low"]) == (float(min(offers)), float(max(offers)))
    assert rent["high"] < rent["best"] < rent["low"]
    assert answer["cluster"] == [{**answer["cluster"][0], "node_type": "dgx-h100", "count": 1}]


def test_nobody_rents_out_a_mac() -> None:
    assert answer_of("kimi-k2")["rent_usd_per_hour"] is None


def test_renting_is_answered_too() -> None:
    line = "kimi-k2 --quant Q4_K_M --budget-per-hour 60"
    ran = first_run(line)
    answer = ran.answer
    assert ran.code == 0
    assert answer["solver"]["status"] == "optimal"
    assert answer["solver"]["unit"] == "USD/h"
    hourly = sum(entry["count"] * entry["hourly_usd"] for entry in answer["cluster"])
    assert answer["cost"]["hourly_usd"] == pytest.approx(hourly)
    assert answer["solver"]["objective"] == pytest.approx(hourly)
    assert answer["cost"]["remaining_usd"] == pytest.approx(60 - hourly)
    kinds = {load_catalog().nodes[entry["node_type"]].kind for entry in answer["cluster"]}
    assert kinds == {"rented"}
