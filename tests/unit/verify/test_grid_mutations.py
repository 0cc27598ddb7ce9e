"""The checker against every lie a plan of vLLM or SGLang could tell, one field at a time."""

from __future__ import annotations

import copy
import functools
import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from planner.catalog import load_catalog
from planner.errors import PlannerError
from planner.plan import Body, Plan
from planner.request import PlanRequest
from planner.served import asked_of_request, served
from planner.solver import solve
from planner.verify import check_body, verify
from tests.unit.verify.lies import changed, leaves, lies, plain

REQUESTS = {
    "one card": PlanRequest(
        model="llama-3.1-8b", quant="FP8", context=8192, only=("5090-x1", "r9700-x1")
    ),
    "layers moved between two node types": PlanRequest(
        model="qwen3-32b",
        quant="FP8",
        context=8192,
        concurrency=64,
        only=("runpod-b200-1", "runpod-rtx-4090-1"),
        budget_per_hour=Decimal(8),
        max_nodes=2,
        min_speed=9.9,
    ),
    "two node types of SGLang": PlanRequest(
        model="qwen3-30b-a3b",
        quant="FP8",
        engine="sglang",
        context=32_768,
        concurrency=8,
        only=("4090-x2", "5090-x1", "6000-ada-x1"),
        max_nodes=3,
        min_speed=0,
    ),
    "a linked pair": PlanRequest(
        model="gpt-oss-120b",
        quant="MXFP4",
        engine="vllm",
        context=131_072,
        kv_type="fp8",
        only=("dgx-spark-pair",),
        min_speed=1,
    ),
    "two servers": PlanRequest(
        model="kimi-k2", quant="FP8", context=131_072, only=("rtx-pro-6000-x8",), max_nodes=2
    ),
    "replicas with experts dealt out": PlanRequest(
        model="qwen3-30b-a3b",
        quant="FP8",
        context=8192,
        concurrency=64,
        only=("runpod-8xb200",),
        budget_per_hour=Decimal(100),
        max_nodes=1,
    ),
    "replicas of SGLang": PlanRequest(
        model="deepseek-r1",
        quant="FP8",
        engine="sglang",
        context=8192,
        concurrency=64,
        only=("runpod-8xb200",),
        budget_per_hour=Decimal(100),
        max_nodes=1,
    ),
    "idle devices": PlanRequest(
        model="qwen3-30b-a3b",
        quant="FP8",
        engine="sglang",
        context=8192,
        only=("dgx-b300",),
        max_nodes=1,
    ),
}
SMALL = (
    "one card",
    "layers moved between two node types",
    "two node types of SGLang",
    "a linked pair",
    "idle devices",
)
FREE_TEXT = {
    ("solver", "space"): "describes the space in words",
    ("solver", "deterministic_time"): "how long the search took: no fact about the plan",
    ("solver", "seed"): "what the search was started with: no fact about the plan",
}
"""Leaves of a body that may say anything, and why."""


@functools.cache
def plan_of(name: str) -> Plan:
    answer = solve(REQUESTS[name], load_catalog())
    assert isinstance(answer, Plan)
    return answer


def body_of(name: str) -> Body:
    found = plan_of(name).choices.cheapest
    assert found is not None
    return found


def body_accepts(name: str, data: Any) -> bool:
    """Whether data is read as a body, without a change, and the checker has nothing against it."""
    request, catalog = REQUESTS[name], load_catalog()
    try:
        body = Body.model_validate_json(json.dumps(data))
    except ValidationError:
        return False
    asked = asked_of_request(request, catalog, request.quant)
    of = served(catalog, request.model, request.quant, asked)
    return not check_body(request, of, catalog, body)


def plan_accepts(data: Any) -> bool:
    try:
        plan = Plan.model_validate_json(json.dumps(data))
        return not verify(plan, load_catalog())
    except (ValidationError, PlannerError):
        return False


@pytest.mark.parametrize("name", REQUESTS)
def test_a_plan_of_the_solver_verifies(name: str) -> None:
    assert verify(plan_of(name), load_catalog()) == ()
    assert plan_accepts(plain(plan_of(name)))
    assert body_accepts(name, plain(body_of(name)))


def test_the_plans_differ_in_what_can_be_wrong() -> None:
    bodies = {name: body_of(name) for name in REQUESTS}
    assert {plan_of(name).engine.name for name in REQUESTS} == {"vllm", "sglang"}
    layouts = [body.layout for body in bodies.values()]
    assert any(layout.tensor_parallel > 1 for layout in layouts)
    assert any(len(set(layout.partition)) > 1 for layout in layouts)
    assert bodies["replicas with experts dealt out"].layout.expert_parallel > 1
    assert bodies["replicas with experts dealt out"].devices[-1].replica > 0
    assert bodies["replicas of SGLang"].layout.data_parallel > 1
    assert any(len(body.cluster) > 1 for body in bodies.values())
    assert any(device.stage is None for device in bodies["idle devices"].devices)
    assert any(entry.machines > 1 for body in bodies.values() for entry in body.cluster)
    assert any(body.cost.network for body in bodies.values())
    assert any(body.cost.hourly_usd for body in bodies.values())


@pytest.mark.parametrize(
    "name",
    [name if name in SMALL else pytest.param(name, marks=pytest.mark.full) for name in REQUESTS],
)
def test_each_field_of_a_body_changed_alone_is_noticed(name: str) -> None:
    data = plain(body_of(name))
    tried, believed = 0, []
    for path, value in leaves(data):
        if path in FREE_TEXT or path[0] == "remedies":  # tried by a search, as the answer says
            continue
        for lie in lies(value):
            tried += 1
            if body_accepts(name, changed(data, path, lie)):
                believed.append((path, value, lie))
    parts = {path[0] for path, _ in leaves(data)}
    assert {"devices", "layout", "kv_pool", "ranks", "cluster", "cost", "solver"} <= parts
    assert tried > 200
    assert not believed


@pytest.mark.parametrize("part", ["model", "engine", "layout"])
@pytest.mark.parametrize("name", ["one card", "two node types of SGLang"])
def test_each_field_of_the_summaries_changed_alone_is_noticed(name: str, part: str) -> None:
    data = plain(plan_of(name))
    free = {
        (part, *path)
        for path, value in leaves(data[part])
        for lie in (*lies(value), *([0, -1] if isinstance(value, int) else []))
        if lie != value and plan_accepts(changed(data, (part, *path), lie))
    }
    assert not free


@pytest.mark.parametrize("choice", ["cheapest", "best_value", "fastest"])
def test_every_choice_is_checked(choice: str) -> None:
    data = plain(plan_of("two node types of SGLang"))
    for path in (("devices", 0, "budget", "total"), ("cost", "purchase_usd")):
        where = ("choices", choice, *path)
        value = functools.reduce(lambda inner, step: inner[step], where, data)
        assert not plan_accepts(changed(data, where, value + 1))


def test_a_layer_moved_between_two_stages_is_noticed() -> None:
    name = "layers moved between two node types"
    data = plain(body_of(name))
    for step in (1, -1):
        moved = copy.deepcopy(data)
        first, second = moved["devices"]
        first["last_layer"] += step
        first["slots"] += step
        second["first_layer"] += step
        second["slots"] -= step
        moved["layout"]["partition"] = [
            moved["layout"]["partition"][0] + step,
            moved["layout"]["partition"][1] - step,
        ]
        assert not body_accepts(name, moved)


def test_two_devices_exchanged_are_noticed() -> None:
    for name in ("layers moved between two node types", "a linked pair"):
        data = plain(body_of(name))
        data["devices"][0], data["devices"][1] = data["devices"][1], data["devices"][0]
        assert not body_accepts(name, data)


@pytest.mark.parametrize("degree", ["expert_parallel", "decode_context_parallel", "data_parallel"])
def test_another_degree_is_noticed_even_where_legal(degree: str) -> None:
    for name in ("replicas with experts dealt out", "replicas of SGLang", "two servers"):
        data = plain(body_of(name))
        own = data["layout"][degree]
        for other in (1, 2, 4, 8, 16):
            if other != own:
                assert not body_accepts(name, changed(data, ("layout", degree), other))
                whole = plain(plan_of(name))
                assert not plan_accepts(changed(whole, ("layout", degree), other))


@pytest.mark.parametrize(
    ("limit", "value", "word"),
    [
        ("budget_per_hour", Decimal("7.52"), "budget"),
        ("min_speed", 1000.0, "tokens/s"),
        ("ttft", 0.001, "first token"),
        ("max_nodes", 1, "machines"),
        ("exclude", ("runpod-rtx-4090-1",), "may not be taken"),
        ("only", ("runpod-b200-1",), "may not be taken"),
        ("context", 4096, "should be"),
        ("concurrency", 32, "should be"),
        ("kv_type", "fp8", "should be"),
        ("engine", "sglang", "was asked"),
        ("quant", "BF16", "was asked"),
    ],
)
def test_a_plan_for_another_request_is_rejected(limit: str, value: Any, word: str) -> None:
    plan = plan_of("layers moved between two node types")
    other = plan.model_copy(update={"request": plan.request.model_copy(update={limit: value})})
    violations = verify(other, load_catalog())
    assert any(word in text for text in violations), violations


def test_stock_is_a_limit_too() -> None:
    plan = plan_of("two servers")
    stock = plan.request.model_validate(
        {**plan.request.model_dump(), "stock": [{"node": "rtx-pro-6000-x8", "count": 1}]}
    )
    violations = verify(plan.model_copy(update={"request": stock}), load_catalog())
    assert any("in stock" in text for text in violations)
