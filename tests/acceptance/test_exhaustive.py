"""With three node types left in the catalog, the answer is what a search of everything finds."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.plan import Body, Plan
from planner.request import PlanRequest, Stock
from planner.solver import solve
from tests.acceptance.exhaustive import Exhaustive, Worked

MACS = ("mac-studio-m5u-256", "mac-studio-m5max-128", "mac-studio-m5max-64")
SPARKS = ("dgx-spark", "rtx-pro-6000-x4", "rtx-pro-6000-x1")
PAIRS = ("dgx-spark-pair", "dgx-spark", "rtx-pro-6000-x2")
HGX = ("dgx-h100", "rtx-pro-6000-x3", "rtx-pro-6000-x4")
OLD = ("a40-x8", "dgx-spark", "l40s-x8")
BIG = ("rtx-pro-6000-x8", "dgx-h100", "6000-ada-x8")
SMALL = ("5090-x4", "4090-x4", "dgx-spark")


def case(model: str, quant: str, only: tuple[str, ...], **changes: Any) -> PlanRequest:
    return PlanRequest(
        model=model,
        quant=quant,
        only=only,
        budget=Decimal(changes.pop("budget", 300_000)),
        **changes,
    )


def two_of(node: str) -> tuple[Stock, ...]:
    return (Stock(node=node, count=2),)


CASES = {
    "kimi-k2 on Macs": case("kimi-k2", "Q4_K_M", MACS),
    "kimi-k2 on two large Macs": case(
        "kimi-k2", "Q4_K_M", (*MACS[:2], "mac-studio-m5u-96"), stock=two_of("mac-studio-m5u-256")
    ),
    "kimi-k2 on Sparks and RTX": case("kimi-k2", "Q4_K_M", SPARKS),
    "kimi-k2 on linked Sparks": case("kimi-k2", "Q4_K_M", PAIRS, min_speed=0.0),
    "kimi-k2 on HGX and RTX": case("kimi-k2", "Q4_K_M", HGX, max_nodes=2, budget=450_000),
    "kimi-k2 on old cards": case("kimi-k2", "Q4_K_M", OLD, max_nodes=3),
    "kimi-k2 on Sparks and RTX, build b10434": case(
        "kimi-k2", "Q4_K_M", SPARKS, engine_build="b10434"
    ),
    "kimi-k2 on Macs and RTX mixed": case(
        "kimi-k2",
        "Q4_K_M",
        ("mac-studio-m5u-256", "rtx-pro-6000-x1", "dgx-spark"),
        mixed_families=True,
    ),
    "deepseek-r1 on cards": case("deepseek-r1", "Q4_K_M", SMALL, min_speed=0.0),
    "llama-3.1-405b on Macs": case("llama-3.1-405b", "Q4_K_M", MACS, min_speed=0.0),
    "llama-3.1-405b on Macs, judged by the pessimist": case(
        "llama-3.1-405b", "Q4_K_M", MACS, min_speed=2.0
    ),
    "llama-3.1-405b on large nodes": case(
        "llama-3.1-405b", "Q4_K_M", BIG, min_speed=0.0, max_nodes=2, budget=500_000
    ),
    "qwen3-235b on cards": case("qwen3-235b", "Q4_K_M", SMALL, concurrency=2, min_speed=4.0),
    "gpt-oss-120b on Macs": case("gpt-oss-120b", "MXFP4_MOE", MACS, budget=50_000),
    "gpt-oss-120b on cards": case(
        "gpt-oss-120b",
        "MXFP4_MOE",
        ("7900xtx-x4", "r9700-x1", "strix-halo-128"),
        budget=50_000,
        concurrency=4,
        min_speed=2.0,
    ),
}
NONE = {
    "kimi-k2 on one Mac": case("kimi-k2", "Q4_K_M", MACS, max_nodes=1),
    "kimi-k2 on poor Macs": case("kimi-k2", "Q4_K_M", MACS, budget=27_871),
    "kimi-k2 on Macs at 40 tokens/s": case("kimi-k2", "Q4_K_M", MACS, min_speed=40.0),
}
NODES = (
    *MACS,
    *SPARKS,
    "dgx-h100",
    "a40-x8",
    "6000-ada-x2",
    "5090-x4",
    "4090-x2",
    "strix-halo-128",
)
SUBJECTS = (
    ("kimi-k2", "Q4_K_M", 5.0),
    ("deepseek-v3", "Q3_K_M", 5.0),
    ("qwen3-235b", "Q6_K", 5.0),
    ("glm-4.5", "Q8_0", 5.0),
    ("llama-3.1-405b", "Q4_K_M", 0.0),
)


def compare(request: PlanRequest, found: list[Worked]) -> None:
    """The three choices against the best of everything."""
    plan = solve(request, load_catalog())
    if not found:
        assert plan.kind == "infeasible"
        return
    assert isinstance(plan, Plan), [entry.cluster for entry in found]
    usd = min(entry.usd for entry in found)
    assert Decimal(str(plan.cost.purchase_usd)) == usd
    quickest = min(entry.seconds for entry in found if entry.usd == usd)
    assert seconds(plan) == pytest.approx(quickest, rel=1e-5)
    assert plan.choices.fastest is not None
    assert seconds(plan.choices.fastest) == pytest.approx(
        min(entry.seconds for entry in found), rel=1e-5
    )
    value = plan.choices.best_value
    assert value is not None
    assert value.cost.purchase_usd is not None
    assert seconds(value) * value.cost.purchase_usd == pytest.approx(
        min(entry.seconds * float(entry.usd) for entry in found), rel=1e-5
    )


def seconds(body: Body) -> float:
    return 1 / body.performance[0].tokens_per_second.best


@pytest.mark.parametrize("name", CASES)
def test_the_choices_are_the_best_of_everything(name: str) -> None:
    request = CASES[name]
    found = list(Exhaustive(catalog=load_catalog(), request=request).everything())
    assert found
    compare(request, found)


def test_some_of_these_answers_mix_node_types_and_some_do_not() -> None:
    mixed = set()
    for name in ("kimi-k2 on Macs", "kimi-k2 on Sparks and RTX", "gpt-oss-120b on Macs"):
        found = list(Exhaustive(catalog=load_catalog(), request=CASES[name]).everything())
        mixed.add(len(min(found, key=lambda entry: entry.usd).cluster) > 1)
    assert mixed == {False, True}


@pytest.mark.parametrize("name", NONE)
def test_where_nothing_works_the_answer_is_no(name: str) -> None:
    request = NONE[name]
    assert not list(Exhaustive(catalog=load_catalog(), request=request).everything())
    compare(request, [])


@pytest.mark.full
@pytest.mark.parametrize("subject", SUBJECTS, ids=[model for model, *_ in SUBJECTS])
def test_every_triple_of_node_types(subject: tuple[str, str, float]) -> None:
    catalog = load_catalog()
    model, quant, speed = subject
    counts = {"feasible": 0, "infeasible": 0, "mixed": 0}
    windows: dict[tuple[str, bool, bool], Any] = {}
    for only in itertools.combinations(NODES, 3):
        eights = sum(catalog.nodes[name].gpus > 4 for name in only)
        most = 3 if eights < 2 else 2
        request = case(model, quant, only, max_nodes=most, min_speed=speed)
        everything = Exhaustive(catalog=catalog, request=request)
        everything.windows = windows
        found = list(everything.everything())
        compare(request, found)
        counts["feasible" if found else "infeasible"] += 1
        if found:
            cheapest = min(found, key=lambda entry: entry.usd)
            counts["mixed"] += len(cheapest.cluster) > 1
    print(subject, counts)
    assert counts["feasible"] >= 20
    assert counts["mixed"] >= 5
