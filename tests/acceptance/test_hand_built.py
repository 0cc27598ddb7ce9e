"""No plan anybody builds by hand is cheaper, better value or faster than the planner's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from planner.catalog import load_catalog
from tests.acceptance.command_line import first_run
from tests.acceptance.hand_built import clusters, feasible
from tests.acceptance.jobs import JOBS

TRILLION = clusters(
    "3 mac-studio-m5u-256",
    "3 mac-studio-m5u-256 | 20,21,21",
    "3 mac-studio-m5u-256 | 21,20,21",
    "3 mac-studio-m5u-256 | 22,22,18",
    "4 mac-studio-m5u-256",
    "4 mac-studio-m5u-256 | 15,15,16,16",
    "2 mac-studio-m5u-256 + 2 mac-studio-m5max-128",
    "2 mac-studio-m5u-256 + 1 mac-studio-m5max-128",
    "2 mac-studio-m5u-256 + 2 mac-studio-m5u-96",
    "1 mac-studio-m5max-128 + 2 mac-studio-m5u-256 + 1 mac-studio-m5max-64",
    "2 mac-studio-m5u-256 + 1 mac-studio-m5u-96 + 1 mac-studio-m5max-64",
    "2 mac-studio-m5u-256",
    "4 mac-studio-m5max-128",
    "1 mac-studio-m5u-256 + 1 mac-studio-m5max-128 + 1 mac-studio-m5max-64",
    "1 rtx-pro-6000-x8",
    "1 rtx-pro-6000-x4 + 1 rtx-pro-6000-x3",
    "1 rtx-pro-6000-x4 + 1 rtx-pro-6000-x3 | 9,9,9,9,9,9,8",
    "1 rtx-pro-6000-x4 + 2 dgx-spark",
    "1 rtx-pro-6000-x3 + 3 dgx-spark",
    "2 rtx-pro-6000-x4",
    "2 rtx-pro-6000-maxq-x4",
    "1 dgx-h100",
    "2 dgx-h100",
    "1 dgx-h100 + 1 dgx-spark",
    "1 hgx-h100-8",
    "1 hgx-h200-8",
    "4 dgx-spark",
    "1 dgx-spark-4",
    "2 dgx-spark-pair",
    "4 strix-halo-128",
    "1 a40-x8",
    "1 a40-x8 + 3 dgx-spark",
    "2 a40-x8",
    "1 6000-ada-x8 + 2 dgx-spark",
    "2 6000-ada-x8",
    "1 l40s-x8 + 2 dgx-spark",
    "2 l40s-x8",
)
SMALLER = clusters(
    "1 strix-halo-128",
    "2 strix-halo-128",
    "1 mac-studio-m5max-64",
    "2 mac-studio-m5max-64",
    "3 mac-studio-m5max-64",
    "1 mac-studio-m5max-128",
    "2 mac-studio-m5max-128",
    "1 mac-studio-m5max-128 + 1 mac-studio-m5max-64",
    "1 mac-studio-m5u-96",
    "2 mac-studio-m5u-96",
    "3 mac-studio-m5u-96",
    "4 mac-studio-m5u-96",
    "1 mac-studio-m5u-256",
    "1 mac-studio-m5u-256 + 1 mac-studio-m5u-96",
    "1 mac-studio-m5u-256 + 1 mac-studio-m5max-64",
    "1 mac-studio-m5u-256 + 1 mac-studio-m5max-128",
    "1 dgx-spark",
    "1 dgx-spark-pair",
    "2 dgx-spark",
    "1 rtx-pro-6000-x1",
    "1 rtx-pro-6000-x2",
    "1 rtx-pro-6000-x3",
    "1 rtx-pro-6000-x1 + 1 dgx-spark",
    "1 5090-x4",
    "2 5090-x4",
    "1 4090-x4",
    "2 4090-x4",
    "1 7900xtx-x4",
    "1 r9700-x4",
    "2 r9700-x4",
)
LEAST = {
    "kimi-k2": 15,
    "kimi-k2, 8 users": 15,
    "deepseek-r1": 20,
    "llama-3.1-405b": 15,
    "qwen3-235b": 20,
    "gpt-oss-120b": 20,
}
"""Hand-built plans that must turn out feasible, so that the comparison is one."""


@pytest.mark.parametrize("name", JOBS)
def test_nobody_does_better_by_hand(name: str) -> None:
    catalog, job = load_catalog(), JOBS[name]
    answer = first_run(job.line).answer
    choices = {
        choice: (Decimal(str(body["cost"]["purchase_usd"])), body["performance"][0])
        for choice, body in answer["choices"].items()
    }
    speeds = {
        choice: performance["tokens_per_second"]["best"]
        for choice, (_, performance) in choices.items()
    }
    cheapest = choices["cheapest"][0]
    value = speeds["best_value"] / float(choices["best_value"][0])
    count = 0
    for cluster in (*TRILLION, *SMALLER):
        for plan in feasible(catalog, job.request, cluster):
            count += 1
            assert cheapest <= plan.usd, f"{cluster} costs {plan.usd}"
            if plan.usd == cheapest:
                assert speeds["cheapest"] >= plan.tokens_per_second * (1 - 1e-6), str(cluster)
            hand = plan.tokens_per_second / float(plan.usd)
            assert value >= hand * (1 - 1e-6), f"{cluster} has {hand} tokens/s per USD"
            assert speeds["fastest"] >= plan.tokens_per_second * (1 - 1e-6), str(cluster)
    print(f"{name}: {count} plans built by hand are feasible")
    assert count >= LEAST[name]


@pytest.mark.parametrize("choice", ["best_value", "fastest"])
def test_the_planner_s_own_plan_adds_up_by_hand(choice: str) -> None:
    catalog, job = load_catalog(), JOBS["kimi-k2"]
    body = first_run(job.line).answer["choices"][choice]
    types = dict.fromkeys(device["node"].rpartition("-")[0] for device in body["devices"])
    counts = {entry["node_type"]: entry["count"] for entry in body["cluster"]}
    nodes = " + ".join(f"{counts[name]} {name}" for name in types)
    slots = ",".join(str(device["slots"]) for device in body["devices"])
    (same,) = clusters(f"{nodes} | {slots}")
    speeds = {plan.usd: plan.tokens_per_second for plan in feasible(catalog, job.request, same)}
    best = body["performance"][0]["tokens_per_second"]["best"]
    assert speeds[Decimal(str(body["cost"]["purchase_usd"]))] == pytest.approx(best)
