"""The main job and five others through the real command line: what every answer must hold."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.catalog.prices import purchase_quote
from tests.acceptance.command_line import first_run, plan
from tests.acceptance.jobs import JOBS, SLICE, Job

Json = dict[str, Any]
CHOICES = ("cheapest", "best_value", "fastest")

PLAN_FIELDS = (
    "kind schema_version request model engine cluster cost layout verdict devices hosts "
    "performance solver planner_version catalog_digest choices alternatives assumptions warnings"
)
NESTED_FIELDS = {
    "model": "name parameters active_parameters layers",
    "engine": "name build",
    "cost": "purchase_usd network_usd hourly_usd power_w",
    "layout": "tensor_parallel pipeline_parallel expert_parallel data_parallel "
    "decode_context_parallel replicas",
    "solver": "status objective bound gap space deterministic_time seed",
    "choices": "cheapest best_value fastest",
}
ROW_FIELDS = {
    "cluster": "node_type count gpu gpus_per_node purchase_usd hourly_usd price_source price_date",
    "devices": "id node gpu replica stage first_layer last_layer output experts capacity_bytes "
    "headroom_bytes budget",
    "hosts": "node memory_bytes budget",
    "performance": "depth ttft tpot tokens_per_second tokens_per_second_per_user terms calibration",
}
BUDGET_FIELDS = "weights kv_cache compute runtime reserve total"
RANGE_FIELDS = "low best high"


@pytest.fixture(params=list(JOBS))
def job(request: pytest.FixtureRequest) -> Job:
    return JOBS[request.param]


@pytest.fixture
def answer(job: Job) -> Json:
    return first_run(job.line).answer


def bodies(answer: Json) -> dict[str, Json]:
    """Every cluster with a split that the answer shows."""
    choices = {name: answer["choices"][name] for name in CHOICES}
    others = {entry["name"]: entry["body"] for entry in answer["alternatives"]}
    return {"top": answer, **choices, **others}


def usd(body: Json) -> float:
    return float(body["cost"]["purchase_usd"])


def speed(body: Json) -> float:
    return float(body["performance"][0]["tokens_per_second"]["best"])


def gpus(body: Json) -> set[str]:
    return {entry["gpu"] for entry in body["cluster"]}


def test_it_is_an_optimal_plan_within_the_budget(job: Job, answer: Json) -> None:
    assert first_run(job.line).code == 0
    assert answer["kind"] == "plan"
    assert answer["solver"]["status"] == "optimal"
    assert answer["solver"]["objective"] == usd(answer)
    assert answer["solver"]["bound"] == answer["solver"]["objective"]
    assert answer["solver"]["gap"] == 0
    assert job.request.budget is not None
    assert usd(answer) <= job.request.budget


def test_the_request_is_repeated_as_it_was_asked(job: Job, answer: Json) -> None:
    assert answer["request"] == job.request.model_dump(mode="json")


def test_the_top_level_is_the_cheapest_choice(answer: Json) -> None:
    cheapest = answer["choices"]["cheapest"]
    assert {name: answer[name] for name in cheapest} == cheapest


def test_every_choice_is_proved(answer: Json) -> None:
    for name in CHOICES:
        solver = answer["choices"][name]["solver"]
        assert solver["status"] == "optimal", name
        assert solver["bound"] == solver["objective"], name
    cheapest, value, fastest = (answer["choices"][name] for name in CHOICES)
    assert cheapest["solver"]["objective"] == usd(cheapest)
    # the search counts every slot and hop in whole nanoseconds, rounded up
    assert value["solver"]["objective"] == pytest.approx(usd(value) / speed(value), rel=1e-5)
    assert fastest["solver"]["objective"] == pytest.approx(1 / speed(fastest), rel=1e-5)


def test_every_layer_is_placed_once_and_in_order(job: Job, answer: Json) -> None:
    assert answer["model"]["layers"] == job.layers
    for name, body in bodies(answer).items():
        used = [device for device in body["devices"] if device["stage"] is not None]
        layers = [
            layer
            for device in used
            if device["first_layer"] is not None
            for layer in range(device["first_layer"], device["last_layer"] + 1)
        ]
        assert layers == list(range(job.layers)), name
        assert [device["stage"] for device in used] == list(range(len(used))), name
        assert [device["output"] for device in used] == [False] * (len(used) - 1) + [True], name
        assert body["layout"]["pipeline_parallel"] == len(used) <= 15, name


def test_every_device_holds_what_it_is_given(answer: Json) -> None:
    for name, body in bodies(answer).items():
        for device in body["devices"]:
            budget = device["budget"]
            parts = [budget[part] for part in BUDGET_FIELDS.split() if part != "total"]
            assert sum(parts) == budget["total"], (name, device["id"])
            assert budget["total"] <= device["capacity_bytes"], (name, device["id"])
            left = device["capacity_bytes"] - budget["total"]
            assert device["headroom_bytes"] == left, (name, device["id"])
            if device["stage"] is not None:
                assert budget["weights"] > 0, (name, device["id"])
                assert budget["reserve"] >= 2**30, (name, device["id"])
            else:
                assert budget["total"] == 0, (name, device["id"])


def test_no_device_is_named_twice_and_the_cluster_has_them_all(answer: Json) -> None:
    for name, body in bodies(answer).items():
        ids = [device["id"] for device in body["devices"]]
        assert len(set(ids)) == len(ids), name
        bought = sum(entry["count"] * entry["gpus_per_node"] for entry in body["cluster"])
        assert bought == len(ids), name
        for gpu in gpus(body):
            in_cluster = sum(
                entry["count"] * entry["gpus_per_node"]
                for entry in body["cluster"]
                if entry["gpu"] == gpu
            )
            assert in_cluster == sum(device["gpu"] == gpu for device in body["devices"]), name


def test_devices_hold_all_weights_but_the_embedding_on_the_host(answer: Json) -> None:
    for name, body in bodies(answer).items():
        on_devices = sum(device["budget"]["weights"] for device in body["devices"])
        on_hosts = sum(host["budget"]["weights"] for host in body["hosts"])
        total = answer["model"]["file_bytes"]
        assert on_devices <= total, name
        assert on_devices + on_hosts >= total, name


def test_the_price_is_the_sum_of_its_parts(answer: Json) -> None:
    catalog = load_catalog()
    for name, body in bodies(answer).items():
        total = 0.0
        for entry in body["cluster"]:
            quote = purchase_quote(catalog, catalog.nodes[entry["node_type"]])
            assert quote is not None
            assert entry["purchase_usd"] == float(quote.mid), name
            assert entry["price_source"], name
            assert entry["price_date"], name
            total += entry["count"] * entry["purchase_usd"]
        assert usd(body) == pytest.approx(total + body["cost"]["network_usd"], abs=1e-6), name
        nodes = sum(entry["count"] for entry in body["cluster"])
        assert (body["cost"]["network"] is None) == (nodes == 1), name


def test_each_choice_is_the_best_of_all_that_is_shown(answer: Json) -> None:
    shown = bodies(answer).values()
    choices = answer["choices"]
    assert usd(choices["cheapest"]) == min(usd(body) for body in shown)
    best = max(speed(body) / usd(body) for body in shown)
    assert speed(choices["best_value"]) / usd(choices["best_value"]) == pytest.approx(best)
    assert speed(choices["fastest"]) == pytest.approx(max(speed(body) for body in shown))


def test_everything_shown_keeps_the_limits(job: Job, answer: Json) -> None:
    request = job.request
    assert request.budget is not None
    for name, body in bodies(answer).items():
        assert usd(body) <= request.budget, name
        remaining = float(request.budget) - usd(body)
        assert body["cost"]["remaining_usd"] == pytest.approx(remaining), name
        machines = sum(entry["count"] * entry["machines"] for entry in body["cluster"])
        assert machines <= request.max_nodes, name
        assert len({entry["family"] for entry in body["cluster"]}) == 1, name
        each = body["performance"][0]["tokens_per_second_per_user"]
        assert each["best"] >= request.min_speed, name
        if "uncalibrated" not in body["performance"][0]["calibration"]:
            assert each["low"] >= request.min_speed, name


def test_there_are_three_alternatives_without_the_gpus_of_another(answer: Json) -> None:
    alternatives = [entry["body"] for entry in answer["alternatives"]]
    assert len(alternatives) >= 3
    for one, other in itertools.combinations([answer, *alternatives], 2):
        assert not gpus(one) & gpus(other)
    assert all(entry["trades"] for entry in answer["alternatives"])
    costs = [usd(body) for body in alternatives]
    assert costs == sorted(costs)


def test_speeds_are_ranges_and_slow_down_with_depth(job: Job, answer: Json) -> None:
    for name, body in bodies(answer).items():
        depths = [entry["depth"] for entry in body["performance"]]
        assert depths == [4_500, answer["model"]["context"]], name
        speeds = []
        for entry in body["performance"]:
            total, each = entry["tokens_per_second"], entry["tokens_per_second_per_user"]
            for case in RANGE_FIELDS.split():
                assert total[case] == pytest.approx(each[case] * job.request.concurrency)
                assert entry["tpot"][case] == pytest.approx(1 / each[case])
                terms = sum(term["seconds"][case] for term in entry["terms"])
                assert terms == pytest.approx(1 / total[case]), name
            assert total["low"] < total["best"] < total["high"], name
            speeds.append(total["best"])
        assert speeds[0] > speeds[1], name


def test_the_documented_fields_are_there(answer: Json) -> None:
    assert answer["schema_version"] == 1
    assert set(PLAN_FIELDS.split()) <= set(answer)
    for name, fields in NESTED_FIELDS.items():
        assert set(fields.split()) <= set(answer[name]), name
    for name, fields in ROW_FIELDS.items():
        for row in answer[name]:
            assert set(fields.split()) <= set(row), name
    for row in (*answer["devices"], *answer["hosts"]):
        assert set(BUDGET_FIELDS.split()) == set(row["budget"])
    for entry in answer["performance"]:
        for name in ("ttft", "tpot", "tokens_per_second", "tokens_per_second_per_user"):
            assert set(RANGE_FIELDS.split()) == set(entry[name]), name
    for name in CHOICES:
        assert set(answer["choices"][name]) >= {*NESTED_FIELDS, *ROW_FIELDS, "verdict"} - {
            "model",
            "engine",
            "choices",
        }


def test_what_surrounds_the_plan_is_said(job: Job, answer: Json) -> None:
    assert answer["assumptions"]
    assert answer["download"]["bytes"] == answer["model"]["file_bytes"]
    assert answer["download"]["shards"] == -(-answer["model"]["file_bytes"] // (50 * 10**9))
    assert [(entry["level"], entry["choice"]) for entry in answer["sensitivity"]] == [
        (level, choice)
        for level in ("low", "high")
        for choice in ("cheapest", "best_value", "fastest")
    ]
    assert answer["headroom"]["context"] >= answer["model"]["context"]
    assert answer["headroom"]["concurrency"] >= job.request.concurrency
    first = shlex.split(answer["next_commands"][0])
    assert sorted(first) == sorted(["plan", *shlex.split(job.line), "-o", "plan.json"])
    assert answer["excluded"]
    if answer["verdict"] == "tight":
        assert len(answer["remedies"]) >= 3
    for prefill in answer["prefill"]:
        warned = any(f"{prefill['tokens']:,} tokens" in text for text in answer["warnings"])
        assert warned != prefill["usable"]


def test_plan_verify_agrees(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(first_run(job.line).out, "utf-8")
    checked = plan(f"verify {path} --json")
    assert checked.code == 0, checked
    assert checked.answer["agrees"]
    assert checked.answer["same_catalog"]


def test_only_the_time_it_took_is_said_beside_the_answer(job: Job) -> None:
    assert first_run(job.line).err.startswith("took ")
    assert first_run(job.line).err.count("\n") == 1


@pytest.mark.parametrize(
    "name", [name if name in SLICE else pytest.param(name, marks=pytest.mark.full) for name in JOBS]
)
def test_a_second_run_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    line = JOBS[name].line
    path = tmp_path / "plan.json"
    again = plan(f"solve {line} --json -o {path}")
    assert again.out == first_run(line).out
    assert path.read_text("utf-8") == again.out
    assert json.loads(again.out)["kind"] == "plan"


def test_the_report_names_what_the_json_holds() -> None:
    line = JOBS["kimi-k2"].line
    answer = first_run(line).answer
    printed = plan(line)
    assert printed.code == 0
    assert f"${usd(answer):,.0f}" in printed.out
    assert "Optimal" in printed.out
    assert "\x1b" not in printed.out
    for entry in answer["cluster"]:
        assert entry["node_type"] in printed.out
    for command in answer["next_commands"]:
        assert command in printed.out
