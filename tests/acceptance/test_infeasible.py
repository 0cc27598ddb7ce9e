"""No is an answer: what would help does help, one step less does not, the rest cannot."""

from __future__ import annotations

import functools
import shlex
from decimal import Decimal
from typing import Any

import pytest

import planner.solver
from planner.catalog import load_catalog
from planner.cli import main
from planner.plan import Infeasible, Relaxation
from planner.request import PlanRequest, Stock
from planner.solver import solve
from planner.solver.search import Clock
from planner.solver.session import Session
from tests.acceptance.command_line import first_run, plan

UNREACHABLE = Decimal(10**9)
CASES = {
    "kimi-k2 --quant Q4_K_M --budget 5000": {"budget"},
    "kimi-k2 --quant Q8_0 --budget 30000": {"budget", "quant"},
    "kimi-k2 --quant Q4_K_M --budget 28000 --concurrency 64": {"concurrency"},
    "kimi-k2 --quant Q4_K_M --budget 28000 --concurrency 64 --min-speed 0": {
        "budget",
        "context",
        "concurrency",
    },
    "kimi-k2 --quant Q4_K_M --budget 300000 --min-speed 60": {"quant", "min-speed"},
    "kimi-k2 --quant Q4_K_M --budget 30000 --stock mac-studio-m5u-256=1": {
        "budget",
        "quant",
        "stock of mac-studio-m5u-256",
        "max-nodes",
        "used hardware",
    },
    "kimi-k2 --quant Q4_K_M --budget 60000 --max-nodes 1": {"budget", "quant", "max-nodes"},
    "qwen3-235b --quant Q4_K_M --budget 5000 --concurrency 2 --min-speed 3": {
        "budget",
        "quant",
        "used hardware",
    },
    "kimi-k2 --quant Q4_K_M --budget-per-hour 5": {"budget-per-hour", "quant"},
    "gpt-oss-120b --quant MXFP4_MOE --budget 3448 --min-speed 0": {"budget", "used hardware"},
    "gpt-oss-120b --quant MXFP4_MOE --budget 3449 --concurrency 200": {"concurrency"},
    "kimi-k2 --quant Q4_K_M --budget 5000 --min-speed 200": set(),
}
"""What is asked, and the limits that are expected to help when changed alone."""


@pytest.fixture(params=list(CASES))
def line(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@functools.cache
def request_of(line: str) -> PlanRequest:
    """The request that `plan LINE` makes, as the command line itself reads it."""
    asked: list[PlanRequest] = []

    class Asked(Exception):
        """Ends the command once the request is known."""

    def ask(request: PlanRequest, *_: object) -> None:
        asked.append(request)
        raise Asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.solver, "solve", ask)
        with pytest.raises(Asked):
            main(shlex.split(line))
    return asked[0]


@functools.cache
def no(line: str) -> Infeasible:
    answer = solve(request_of(line), load_catalog())
    assert isinstance(answer, Infeasible)
    return answer


def works(request: PlanRequest, **changes: Any) -> bool:
    """Whether the changed request has any plan."""
    session = Session(request=request, catalog=load_catalog(), clock=Clock(request.time_limit))
    quant = changes.pop("quant", request.quant)
    return session.optimum(session.formulation(quant, **changes), "cost") is not None


def ranks(low: int, high: int) -> list[str]:
    """Quantizations of llama.cpp with a rank in [low, high), worst first."""
    rows = load_catalog().quantizations.values()
    inside = [row for row in rows if row.kind == "gguf" and low <= row.rank < high]
    return [row.name for row in sorted(inside, key=lambda row: row.rank)]


def step_less(request: PlanRequest, relaxed: Relaxation) -> dict[str, Any]:
    """The change one step smaller than a relaxation."""
    assert relaxed.to is not None
    name = relaxed.change.replace("-", "_")
    if relaxed.change.startswith("stock of "):
        node = relaxed.change.removeprefix("stock of ")
        stock = [entry for entry in request.stock if entry.node != node]
        return {"stock": (*stock, Stock(node=node, count=int(relaxed.to) - 1))}
    if name == "quant":
        rank = load_catalog().quantizations[relaxed.to].rank
        return {"quant": ranks(rank + 1, 10**6)[0]}
    if name in ("used hardware", "mixed device families"):
        return {}
    amount = Decimal(relaxed.to)
    step = {
        "budget": Decimal(-1),
        "budget_per_hour": Decimal("-0.01"),
        "context": Decimal(256),
        "concurrency": Decimal(1),
        "min_speed": Decimal("0.1"),
        "max_nodes": Decimal(-1),
    }[name]
    value = amount + step
    if name in ("context", "concurrency", "max_nodes"):
        return {name: int(value)}
    return {name: float(value) if name == "min_speed" else value}


def extremes(request: PlanRequest, relaxed: Relaxation) -> list[dict[str, Any]]:
    """The furthest a limit can be moved, alone."""
    name = relaxed.change.replace("-", "_")
    if relaxed.change.startswith("stock of "):
        node = relaxed.change.removeprefix("stock of ")
        stock = tuple(entry for entry in request.stock if entry.node != node)
        return [{"stock": stock}]
    if name == "quant":
        rank = load_catalog().quantizations[request.quant].rank
        return [{"quant": quant} for quant in ranks(0, rank)]
    furthest: dict[str, Any] = {
        "budget": UNREACHABLE,
        "budget_per_hour": UNREACHABLE,
        "context": 256,
        "concurrency": 1,
        "min_speed": 0.0,
        "max_nodes": 15,
        "used hardware": True,
        "mixed device families": True,
    }
    field = {"used hardware": "used", "mixed device families": "mixed_families"}.get(name, name)
    return [{field: furthest[name]}]


def test_the_limits_that_help_are_these(line: str) -> None:
    helping = {entry.change for entry in no(line).relaxations if entry.to is not None}
    assert helping == CASES[line]


def test_every_limit_is_named_once(line: str) -> None:
    request, named = request_of(line), [entry.change for entry in no(line).relaxations]
    assert len(set(named)) == len(named)
    limits = {"quant", "context", "concurrency", "max-nodes"}
    limits |= {"budget"} if request.budget is not None else {"budget-per-hour"}
    limits |= {"min-speed"} if request.min_speed > 0 else set()
    limits |= {f"stock of {entry.node}" for entry in request.stock}
    assert limits <= set(named)


def test_each_change_helps(line: str) -> None:
    for relaxed in no(line).relaxations:
        if relaxed.to is not None:
            assert relaxed.command is not None
            assert relaxed.command.startswith("plan ")
            changed = request_of(relaxed.command.removeprefix("plan "))
            assert works(changed), relaxed.command


def test_one_step_less_does_not(line: str) -> None:
    request = request_of(line)
    for relaxed in no(line).relaxations:
        if relaxed.to is not None:
            assert not works(request, **step_less(request, relaxed)), relaxed


def test_each_change_changes_one_limit(line: str) -> None:
    request = request_of(line)
    for relaxed in no(line).relaxations:
        if relaxed.to is not None:
            assert relaxed.command is not None
            changed = request_of(relaxed.command.removeprefix("plan "))
            fields = [
                name
                for name in PlanRequest.model_fields
                if getattr(changed, name) != getattr(request, name)
            ]
            assert len(fields) == 1, relaxed


def test_what_is_said_not_to_help_does_not(line: str) -> None:
    request = request_of(line)
    for relaxed in no(line).relaxations:
        if relaxed.to is None:
            assert relaxed.cost_usd is None
            assert relaxed.command is None
            for changes in extremes(request, relaxed):
                assert not works(request, **changes), (relaxed.change, changes)


def test_the_price_after_the_change_is_that_of_the_cheapest_plan(line: str) -> None:
    for relaxed in no(line).relaxations:
        if relaxed.to is not None:
            assert relaxed.command is not None
            changed = request_of(relaxed.command.removeprefix("plan "))
            session = Session(
                request=changed, catalog=load_catalog(), clock=Clock(changed.time_limit)
            )
            cheapest = session.cheapest(session.formulation(changed.quant))
            assert cheapest is not None
            assert relaxed.cost_usd == float(cheapest.usd)


def test_what_conflicts_is_said(line: str) -> None:
    answer = no(line)
    assert answer.conflicts[0].limit == "memory"
    assert all(conflict.detail for conflict in answer.conflicts)
    money = [entry for entry in answer.relaxations if entry.change.startswith("budget")]
    for relaxed in money:
        limits = {conflict.limit for conflict in answer.conflicts}
        assert (relaxed.change in limits) == (relaxed.to is not None)


def test_where_only_several_changes_help_it_says_which() -> None:
    line = "kimi-k2 --quant Q4_K_M --budget 5000 --min-speed 200"
    assert [conflict.limit for conflict in no(line).conflicts] == ["memory", "several"]
    assert "--min-speed 0" in no(line).conflicts[1].detail
    assert works(request_of(line), budget=UNREACHABLE, min_speed=0.0)


def test_with_any_quantization_the_smallest_budget_is_found_over_all_of_them() -> None:
    request = request_of("kimi-k2 --budget 5000")
    answer = solve(request, load_catalog())
    assert isinstance(answer, Infeasible)
    (budget,) = (entry for entry in answer.relaxations if entry.change == "budget")
    assert budget.to is not None
    for usd, kind in ((int(budget.to), "plan"), (int(budget.to) - 1, "infeasible")):
        changed = request.model_copy(update={"budget": Decimal(usd)})
        assert solve(changed, load_catalog()).kind == kind


def test_the_command_line_says_no_with_exit_code_1() -> None:
    ran = first_run("kimi-k2 --quant Q4_K_M --budget 5000")
    assert ran.code == 1
    assert ran.answer["kind"] == "infeasible"
    assert "hint" not in ran.answer
    assert "took" in ran.err
    printed = plan("kimi-k2 --quant Q4_K_M --budget 5000")
    assert printed.code == 1
    assert "No plan exists" in printed.out


def test_the_printed_budget_works_and_a_dollar_less_does_not() -> None:
    relaxed = first_run("kimi-k2 --quant Q4_K_M --budget 5000").answer["relaxations"]
    (budget,) = (entry for entry in relaxed if entry["change"] == "budget")
    helped = plan(budget["command"].removeprefix("plan "), "--json")
    assert helped.code == 0
    assert helped.answer["cost"]["purchase_usd"] == budget["cost_usd"] == float(budget["to"])
    less = plan(f"kimi-k2 --quant Q4_K_M --budget {int(budget['to']) - 1}", "--json")
    assert less.code == 1


@pytest.mark.full
def test_every_change_through_the_command_line(line: str) -> None:
    answer = plan(line, "--json").answer
    for relaxed in answer["relaxations"]:
        if relaxed["to"] is not None:
            assert plan(relaxed["command"].removeprefix("plan "), "--json").code == 0
