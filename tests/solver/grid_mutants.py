"""Wrong searches over grids, each of which some small question must show to be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from planner.accounting.siting import Site
from planner.catalog.schema import Node
from planner.engines.grid import Grid
from planner.request import PlanRequest, Stock
from planner.solver import grid_search
from planner.solver.grid_layouts import Layouts, Timed
from planner.solver.grid_search import Entry, GridProblem
from planner.solver.problem import Limits, Picks
from tests.solver.mutation import Mutate, one_less, tight

_8B: dict[str, Any] = {"model": "llama-3.1-8b", "quant": "BF16", "engine": "vllm"}
_70B: dict[str, Any] = {"model": "llama-3.1-70b", "quant": "BF16", "engine": "vllm"}
_ONE_USER: dict[str, Any] = {"context": 8192, "input_tokens": 1, "output_tokens": 1}

QUESTIONS = {
    "cards of one model": PlanRequest(
        **_70B, **_ONE_USER, only=("rtx-pro-6000-x1", "rtx-pro-6000-x2"), max_nodes=3, min_speed=0
    ),
    "twins of one model": PlanRequest(
        **_70B,
        context=8192,
        concurrency=32,
        kv_type="fp8",
        only=("minisforum-ms-s1-max-128", "strix-halo-128"),
        stock=(Stock(node="strix-halo-128", count=1),),
        max_nodes=2,
        min_speed=0,
    ),
    "a switch for four": PlanRequest(
        **_70B, **_ONE_USER, only=("6000-ada-x1",), max_nodes=4, min_speed=0
    ),
    "two fit the budget": PlanRequest(
        **_8B, **_ONE_USER, only=("5090-x1", "dgx-spark"), budget=Decimal(22_000), max_nodes=2
    ),
    "just over the budget": PlanRequest(
        **_8B, **_ONE_USER, only=("5090-x1",), budget=Decimal(21_999), max_nodes=2
    ),
    "families": PlanRequest(
        **_70B,
        context=8192,
        only=("strix-halo-128", "dgx-spark"),
        stock=(
            Stock(node="strix-halo-128", count=1),
            Stock(node="minisforum-ms-s1-max-128", count=0),
            Stock(node="dgx-spark", count=1),
        ),
        max_nodes=2,
        min_speed=0,
    ),
    "more machines than ports": PlanRequest(
        model="kimi-k2",
        quant="FP8",
        engine="vllm",
        context=4096,
        only=("dgx-spark",),
        max_nodes=12,
        min_speed=0,
    ),
    "layers move": PlanRequest(
        model="qwen3-32b",
        quant="FP8",
        engine="vllm",
        context=8192,
        concurrency=64,
        only=("runpod-b200-1", "runpod-rtx-4090-1"),
        stock=(
            Stock(node="runpod-b200-1", count=1),
            Stock(node="runpod-rtx-4090-1", count=1),
        ),
        max_nodes=2,
        budget_per_hour=Decimal(1000),
        min_speed=10.49,
    ),
    "layers moved too far": PlanRequest(
        model="qwen3-32b",
        quant="FP8",
        engine="vllm",
        context=8192,
        concurrency=64,
        only=("runpod-b200-1", "runpod-rtx-4090-1"),
        stock=(
            Stock(node="runpod-b200-1", count=1),
            Stock(node="runpod-rtx-4090-1", count=1),
        ),
        max_nodes=2,
        budget_per_hour=Decimal(1000),
        min_speed=10.51,
    ),
    "few of many devices": PlanRequest(
        model="qwen3-30b-a3b",
        quant="FP8",
        engine="sglang",
        context=8192,
        only=("dgx-b300", "5090-x3"),
        max_nodes=1,
        min_speed=0,
    ),
    "a short wait": PlanRequest(
        model="llama-3.1-70b",
        quant="FP8",
        engine="sglang",
        context=8192,
        only=("6000-ada-x2", "6000-ada-x4", "l40s-x4"),
        max_nodes=2,
        min_speed=0,
        ttft=3.2,
    ),
}
"""Small on purpose: every mutant is tried on each."""


USED = Layouts._used


def limits(**changes: Callable[[Any], Any]) -> Mutate:
    """A search that sees other limits; no limit stays none."""
    original = grid_search.minimise

    def other(problem: GridProblem, goal: Any, own: Limits, *rest: Any) -> Any:
        new = {
            name: None if getattr(own, name) is None else change(getattr(own, name))
            for name, change in changes.items()
        }
        return original(problem, goal, replace(own, **new), *rest)

    return lambda monkeypatch: monkeypatch.setattr(grid_search, "minimise", other)


def problem(**changes: Callable[[Any], Any]) -> Mutate:
    """A search that sees another problem."""
    original = grid_search.minimise

    def other(own: GridProblem, *rest: Any) -> Any:
        new = {name: change(getattr(own, name)) for name, change in changes.items()}
        return original(replace(own, **new), *rest)

    return lambda monkeypatch: monkeypatch.setattr(grid_search, "minimise", other)


def options(**changes: Callable[[Any], Any]) -> Mutate:
    """A search that sees other node types."""

    def change(own: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            replace(each, **{name: alter(getattr(each, name)) for name, alter in changes.items()})
            for each in own
        )

    return problem(options=change)


def joints(**changes: Callable[[Any], Any]) -> Mutate:
    """A search that sees other networks."""

    def change(own: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            replace(each, **{name: alter(getattr(each, name)) for name, alter in changes.items()})
            for each in own
        )

    return problem(joints=change)


def method(owner: type, name: str, change: Callable[[Any], Any]) -> Mutate:
    """A method whose result is changed."""
    original = getattr(owner, name)

    def other(*arguments: Any, **named: Any) -> Any:
        return change(original(*arguments, **named))

    return lambda monkeypatch: monkeypatch.setattr(owner, name, other)


def later(factor: float) -> Callable[[Entry], Entry]:
    """A site whose time is bounded too high."""
    return lambda entry: replace(entry, time=math.ceil(entry.time * factor))


def dearer(factor: float) -> Callable[[Entry], Entry]:
    """A site that costs more than it does."""
    return lambda entry: replace(entry, cost=math.ceil(entry.cost * factor))


def alone(found: Iterator[Picks]) -> Iterator[Picks]:
    """Sites of one node type."""
    return (picks for picks in found if len(picks) == 1)


def without_the_fastest(found: tuple[Timed, ...]) -> tuple[Timed, ...]:
    """All layouts but the fastest."""
    return found[1:]


def _most_used(nodes: Sequence[Node]) -> list[int]:
    return USED(nodes)[:1]


def _not_moved(self: Layouts, site: Site) -> Iterator[Grid]:
    return self._legal(site)


def put(owner: type, name: str, other: object) -> Mutate:
    """Something else in the place of a method."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, other)


def nothing(_: Any) -> None:
    """No limit."""


WRONG: dict[str, Mutate] = {
    "budget: none": limits(budget=nothing),
    "budget: 5 % less": limits(budget=tight),
    "minimum speed: none": limits(floor=nothing),
    "minimum speed: 5 % more": limits(floor=tight),
    "time of the fastest: none": limits(best=nothing),
    "time of the fastest: 5 % less": limits(best=tight),
    "first token: none": limits(first=nothing),
    "first token: 5 % less": limits(first=tight),
    "machines: one less": limits(machines=one_less),
    "machines: one more": limits(machines=lambda most: most + 1),
    "stock: any": options(stock=lambda _: 10_000),
    "stock: one less": options(stock=one_less),
    "families: all one": options(family=lambda _: "cuda"),
    "price: nothing": options(price=lambda _: 0),
    "adapters: nothing": options(adapters=lambda each: (0,) * len(each)),
    "switch: nothing": joints(switch=lambda _: 0),
    "ports: any": joints(ports=lambda _: 64),
    "networks: the first alone": problem(joints=lambda every: every[:1]),
    "rooms: half": problem(rooms=lambda every: tuple(room // 2 for room in every)),
    "memory: any": method(Layouts, "_rooms", lambda rooms: [max(room, 0) for room in rooms]),
    "memory: 5 % less": method(
        Layouts, "_rooms", lambda rooms: [room - 4 * 2**30 for room in rooms]
    ),
    "devices used: the most": put(Layouts, "_used", staticmethod(_most_used)),
    "layouts: the fastest left out": method(Layouts, "timed", without_the_fastest),
    "layers: never moved": put(Layouts, "_settled", _not_moved),
    "sites: of one node type": method(GridProblem, "_multisets", alone),
    "cost: 5 % more": method(GridProblem, "_entry", dearer(1.05)),
    "time: 5 % more": method(GridProblem, "_entry", later(1.05)),
    "refined time: 5 % more": method(GridProblem, "refined", later(1.05)),
}
