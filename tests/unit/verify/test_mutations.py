"""The checker against every lie a plan could tell: each field changed alone is noticed."""

from __future__ import annotations

import copy
import functools
import itertools
import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from planner.catalog import load_catalog
from planner.errors import PlannerError
from planner.plan import Body, Plan
from planner.request import PlanRequest
from planner.solver import solve
from planner.subject import subject_of_request
from planner.verify import check_body, verify
from tests.unit.verify.lies import changed, leaves, lies, plain

REQUESTS = {
    "four Macs": PlanRequest(
        model="kimi-k2",
        quant="Q4_K_M",
        budget=Decimal(300_000),
        only=("mac-studio-m5u-256", "mac-studio-m5max-64", "mac-studio-m5max-128"),
    ),
    "cards and Sparks": PlanRequest(
        model="kimi-k2",
        quant="Q4_K_M",
        budget=Decimal(300_000),
        only=("dgx-spark", "a40-x8", "rtx-pro-6000-x4"),
        context=32_768,
        concurrency=4,
        min_speed=1.0,
    ),
    "two DGX with an idle device": PlanRequest(
        model="llama-3.1-405b", quant="F16", only=("dgx-h100",), min_speed=1.0
    ),
    "one machine": PlanRequest(
        model="gpt-oss-120b", quant="MXFP4_MOE", only=("strix-halo-128",), min_speed=1.0
    ),
    "rented": PlanRequest(
        model="qwen3-235b", quant="Q4_K_M", budget_per_hour=Decimal(60), min_speed=1.0
    ),
}
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


def body_of(plan: Plan) -> Body:
    assert plan.choices.cheapest is not None
    return plan.choices.cheapest


def body_accepts(name: str, data: Any) -> bool:
    """Whether data is read as a body, without a change, and the checker has nothing against it."""
    request, catalog = REQUESTS[name], load_catalog()
    try:
        body = Body.model_validate_json(json.dumps(data))
    except ValidationError:
        return False
    subject = subject_of_request(request, catalog, request.quant)
    return not check_body(request, subject, catalog, body)


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
    assert body_accepts(name, plain(body_of(plan_of(name))))


def test_the_plans_differ_in_what_can_be_wrong() -> None:
    bodies = [body_of(plan_of(name)) for name in REQUESTS]
    assert any(len(body.cluster) > 1 for body in bodies)
    assert any(device.stage is None for body in bodies for device in body.devices)
    assert any(body.cost.network for body in bodies)
    assert any(not body.cost.network for body in bodies)
    assert any(host.unified for body in bodies for host in body.hosts)
    assert any(body.cost.hourly_usd for body in bodies)
    assert any(body.verdict == "tight" for body in bodies)


@pytest.mark.parametrize(
    "name",
    [
        "one machine",
        "rented",
        "four Macs",
        pytest.param("cards and Sparks", marks=pytest.mark.full),
        pytest.param("two DGX with an idle device", marks=pytest.mark.full),
    ],
)
def test_each_field_of_a_body_changed_alone_is_noticed(name: str) -> None:
    data = plain(body_of(plan_of(name)))
    tried, believed = 0, []
    for path, value in leaves(data):
        if path in FREE_TEXT or path[0] == "remedies":  # tried by a search, as the answer says
            continue
        for lie in lies(value):
            tried += 1
            if body_accepts(name, changed(data, path, lie)):
                believed.append((path, value, lie))
    print(f"{name}: {tried} changes of {len(list(leaves(data)))} fields")
    assert tried > 150
    assert not believed


def test_the_fields_that_may_say_anything_are_these() -> None:
    name = "one machine"
    data = plain(body_of(plan_of(name)))
    free = {
        path
        for path, value in leaves(data)
        if any(body_accepts(name, changed(data, path, lie)) for lie in lies(value))
    }
    assert free == set(FREE_TEXT)


@pytest.mark.parametrize("part", ["model", "engine"])
def test_each_field_of_the_summaries_changed_alone_is_noticed(part: str) -> None:
    data = plain(plan_of("one machine"))
    free = {
        (part, *path)
        for path, value in leaves(data[part])
        if any(plan_accepts(changed(data, (part, *path), lie)) for lie in lies(value))
    }
    assert not free


@pytest.mark.parametrize("choice", ["cheapest", "best_value", "fastest"])
def test_every_choice_is_checked(choice: str) -> None:
    data = plain(plan_of("four Macs"))
    for path in (("devices", 0, "budget", "total"), ("cost", "purchase_usd")):
        where = ("choices", choice, *path)
        value = functools.reduce(lambda inner, step: inner[step], where, data)
        assert not plan_accepts(changed(data, where, value + 1))


def test_every_alternative_is_checked() -> None:
    data = plain(plan_of("rented"))
    assert data["alternatives"]
    where = ("alternatives", 0, "body", "devices", 0, "budget", "total")
    value = functools.reduce(lambda inner, step: inner[step], where, data)
    assert not plan_accepts(changed(data, where, value + 1))


def test_the_top_level_must_be_the_cheapest_choice() -> None:
    data = plain(plan_of("four Macs"))
    value = data["choices"]["best_value"]
    assert value["cluster"] != data["cluster"]
    assert not plan_accepts({**data, **value})


def test_a_layer_moved_between_two_devices_is_noticed() -> None:
    name = "four Macs"
    data = plain(body_of(plan_of(name)))
    for one, two in itertools.pairwise(range(len(data["devices"]))):
        moved = copy.deepcopy(data)
        first, second = moved["devices"][one], moved["devices"][two]
        first["last_layer"] += 1
        second["first_layer"] += 1
        first["slots"] += 1
        second["slots"] -= 1
        assert not body_accepts(name, moved)


def test_two_devices_exchanged_are_noticed() -> None:
    name = "four Macs"
    data = plain(body_of(plan_of(name)))
    data["devices"][0], data["devices"][1] = data["devices"][1], data["devices"][0]
    assert not body_accepts(name, data)


@pytest.mark.parametrize(
    ("limit", "value", "word"),
    [
        ("budget", Decimal(27_871), "budget"),
        ("min_speed", 18.3, "tokens/s"),
        ("max_nodes", 3, "machines"),
        ("exclude", ("mac-studio-m5max-64",), "may not be taken"),
        ("only", ("mac-studio-m5u-256",), "may not be taken"),
        ("context", 65_536, "should be"),
        ("concurrency", 2, "should be"),
        ("kv_type", "q8_0", "should be"),
        ("ubatch", 1_024, "should be"),
        ("engine_build", "b10434", "should be"),
    ],
)
def test_a_plan_for_another_request_is_rejected(limit: str, value: Any, word: str) -> None:
    plan = plan_of("four Macs")
    other = plan.model_copy(update={"request": plan.request.model_copy(update={limit: value})})
    violations = verify(other, load_catalog())
    assert any(word in text for text in violations), violations


def test_stock_and_families_are_limits_too() -> None:
    plan = plan_of("four Macs")
    stock = plan.request.model_validate(
        {**plan.request.model_dump(), "stock": [{"node": "mac-studio-m5u-256", "count": 1}]}
    )
    violations = verify(plan.model_copy(update={"request": stock}), load_catalog())
    assert any("in stock" in text for text in violations)
