"""The report of an outcome, read as its user reads it."""

from __future__ import annotations

import datetime
import io
import re
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from planner.plan import Choices, Device, Plan, Remedy
from planner.report.plan import render
from planner.report.terminal import draw, plain_text
from planner.request import PlanRequest
from planner.units import MIB
from tests.unit.report import example

TODAY = datetime.date(2026, 11, 25)
HERE = Path(__file__).parent


def text(outcome: object, width: int = 100) -> str:
    return plain_text(render(outcome, TODAY), width)  # type: ignore[arg-type]


def one_choice() -> Plan:
    """The example with its cheapest cluster as every choice."""
    body = example.CHEAPEST
    return example.plan(choices=Choices(cheapest=body, best_value=body, fastest=body))


def squeezed(report: str) -> str:
    """Words of `report` with single spaces, so that line ends do not matter."""
    return " ".join(report.split())


@pytest.mark.parametrize(
    ("name", "outcome"), [("plan", example.plan()), ("infeasible", example.infeasible())]
)
def test_the_whole_report_reads_as_the_reviewed_file(name, outcome):
    assert text(outcome) == (HERE / f"{name}.txt").read_text(encoding="utf-8")


def test_a_plan_takes_at_most_ninety_lines_of_a_hundred_columns():
    """One choice; each further one adds the table of its devices."""
    lines = text(one_choice()).splitlines()
    assert len(lines) <= 90
    assert max(map(len, lines)) <= 100


def test_the_headline_says_cluster_price_rest_verdict_and_speed():
    headline = text(example.plan()).splitlines()[1]
    assert headline == (
        "Cheapest: 2x rtx-pro-6000-server-x4, $129,800 ($170,200 left of $300,000), fits, "
        "34 (25-45) tok/s"
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_device_is_one_row_with_all_parts_at_any_width(width):
    plan = one_choice()
    rows = [line for line in text(plan, width).splitlines() if re.search(r"\.\d  +\d+-\d+", line)]
    assert len(rows) == len(plan.devices)
    for device, row in zip(plan.devices, rows, strict=True):
        assert f"{device.budget.weights / 2**30:,.1f}" in row.split()
        assert f"{device.headroom_bytes // MIB:,}" in row.split()
        assert row.split().count("1.00") == 1
    assert sum(row.startswith(">") for row in rows) == 1
    assert rows[1].startswith(">")


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut_off(width):
    assert "\N{HORIZONTAL ELLIPSIS}" not in text(example.plan(), width)


def test_equal_choices_share_a_column_and_different_ones_do_not():
    assert "cheapest, best value" in text(example.plan())
    three = Choices(cheapest=example.CHEAPEST, best_value=example.SLOW, fastest=example.FASTEST)
    heading = text(example.plan(choices=three), 140).split("Choices")[1].splitlines()[1]
    assert heading.split() == ["cheapest", "best", "value", "fastest"]


def test_a_choice_without_prices_is_said_to_be_missing():
    choices = Choices(cheapest=example.CHEAPEST, best_value=None, fastest=example.FASTEST)
    assert "no best value: prices are missing" in text(example.plan(choices=choices))


def test_users_get_their_share_beside_the_total():
    request = PlanRequest(model="kimi-k2", concurrency=8, budget=Decimal(300_000))
    model = example.MODEL.model_copy(update={"concurrency": 8})
    report = text(example.plan(request=request, model=model))
    assert "8 users" in report
    assert "- each user" in report
    assert "all low all best all high each low each best each high" in squeezed(report)


def test_a_rented_plan_speaks_of_dollars_per_hour():
    node = example.SERVER.model_copy(update={"purchase_usd": None, "hourly_usd": 18.25})
    cost = example.CHEAPEST.cost.model_copy(
        update={
            "purchase_usd": None,
            "purchase_low_usd": None,
            "hourly_usd": 36.5,
            "remaining_usd": 3.5,
        }
    )
    request = PlanRequest(model="kimi-k2", budget_per_hour=Decimal(40))
    report = text(example.plan(cluster=(node,), cost=cost, request=request))
    assert "$36.50/h ($3.50/h left of $40.00/h)" in report
    assert "rtx-pro-6000-server-x4: $18.25/h each" in report


def test_a_plan_cut_short_by_the_time_limit_is_not_called_cheapest():
    solver = example.CHEAPEST.solver.model_copy(
        update={"status": "feasible", "bound": 100_000.0, "gap": 0.2296}
    )
    report = squeezed(text(example.plan(solver=solver)))
    assert "Best found so far: 2x" in report
    assert "Cheapest" not in report
    assert "Not proved" in report
    assert "nothing below $100,000 is possible (gap 23.0 %)" in report


def test_an_old_price_and_an_undated_one_are_warned_of():
    nodes = (
        example.SERVER.model_copy(update={"price_date": "2026-08-01"}),
        example.SPARKS.model_copy(update={"price_date": None}),
    )
    file = io.StringIO()
    draw(
        render(example.plan(cluster=nodes), TODAY),
        Console(file=file, width=140, force_terminal=True, color_system="standard"),
        plain=False,
    )
    assert "\x1b[33m2026-08-01, 116 days old\x1b[0m" in file.getvalue()
    assert "\x1b[33mundated\x1b[0m" in file.getvalue()


def test_a_setting_of_the_machine_is_a_step_of_its_own():
    node = example.SERVER.model_copy(
        update={"setting_command": "sudo sysctl iogpu.wired_limit_mb=245760"}
    )
    report = text(example.plan(cluster=(node,)))
    assert "on each rtx-pro-6000-server-x4, once: sudo sysctl iogpu.wired_limit_mb=245760" in report


def short_of(mib: int) -> tuple[Device, ...]:
    """The devices of the example, the second one `mib` MiB short."""
    first, second, *rest = example.CHEAPEST.devices
    second = second.model_copy(
        update={
            "capacity_bytes": second.budget.total - mib * MIB,
            "headroom_bytes": -mib * MIB,
        }
    )
    return (first, second, *rest)


def test_a_layout_short_by_less_than_its_reserve_says_how_little_is_missing():
    report = squeezed(text(example.plan(devices=short_of(123), verdict="no")))
    assert "does not fit; rtx-pro-6000-server-x4-1.1 is 123 MiB short of its full reserve" in report
    assert "without a reserve 901 MiB would be left" in report


def test_a_layout_short_beyond_its_reserve_says_so():
    report = squeezed(text(example.plan(devices=short_of(2000), verdict="no")))
    assert "is 2,000 MiB short, 976 MiB even without its reserve" in report


def test_what_is_shown_elsewhere_is_not_warned_of_again():
    node = example.SERVER.model_copy(update={"setting_command": "set-it --all"})
    warnings = (
        "rtx: run `set-it --all` first",
        "a prompt of 100,000 tokens waits about 700 s",
        "rtx: the price is 77 days old (2026-09-09)",
        "keep it on a private network",
    )
    report = text(example.plan(cluster=(node,), warnings=warnings))
    assert report.split("\nWarnings\n")[1].splitlines()[:2] == [
        "- keep it on a private network",
        "",
    ]


def test_rented_prices_are_per_hour_throughout():
    request = PlanRequest(model="kimi-k2", budget_per_hour=Decimal(40))
    cost = example.CHEAPEST.cost.model_copy(update={"purchase_usd": None, "hourly_usd": 36.5})
    report = text(example.plan(request=request, cost=cost))
    assert re.search(r"at low prices +the same choice, \$116,920.00/h", report)
    assert re.search(r"next quantization up +Q5_K_S .*: \$129,800.00/h", report)


def test_disk_is_rounded_up():
    download = example.plan().download.model_copy(update={"disk_bytes": 404_000_000_001})
    assert "head node needs 405 GB of disk" in squeezed(text(example.plan(download=download)))


def test_remedies_are_a_table_where_they_are_needed():
    remedies = (
        Remedy(
            change="ubatch 128", headroom_bytes=524 * MIB, verdict="tight", option="--ubatch 128"
        ),
        Remedy(change="one device more", headroom_bytes=9182 * MIB, verdict="fits"),
    )
    report = text(example.plan(verdict="no", remedies=remedies))
    assert re.search(r"ubatch 128 +524 +tight +--ubatch 128", report)
    assert re.search(r"one device more +9,182 +fits", report)


def test_an_unusable_prompt_and_missing_calibration_are_warned_of():
    performance = tuple(
        entry.model_copy(update={"calibration": "uncalibrated: no run on this device"})
        for entry in example.CHEAPEST.performance
    )
    report = squeezed(text(example.plan(performance=performance)))
    assert report.count("uncalibrated: no run on this device") == 1
    assert "warning: first token of a 100,000-token prompt: 12 min (7 min to 25 min)" in report
    assert "warning: first token of a 4,000-token prompt" not in report


def test_a_limit_that_cannot_help_is_named_as_such():
    report = text(example.infeasible())
    assert re.search(r"context +131,072 +no value helps", report)
    assert "  1  plan kimi-k2 --quant Q4_K_M --budget 129800\n" in report


def test_a_long_command_stays_on_one_line():
    command = "plan kimi-k2 " + " ".join(f"--exclude node-{number}" for number in range(12))
    assert f"  {command}\n" in text(example.plan(next_commands=(command,)), 80)


HOSTILE = "[bold red]x[/]\x1b[31m\x07\nnew\r\N{RIGHT-TO-LEFT OVERRIDE}[/nothing] :smile: \ud800"


@pytest.mark.parametrize("plain", [True, False])
def test_names_are_text_whatever_they_hold(plain):
    """Markup, escape sequences, line ends and direction marks come out harmless and visible."""
    model = example.MODEL.model_copy(update={"name": HOSTILE})
    node = example.SERVER.model_copy(update={"node_type": HOSTILE, "price_source": HOSTILE})
    outcome = example.plan(
        model=model, cluster=(node,), warnings=(HOSTILE,), next_commands=(HOSTILE,)
    )
    file = io.StringIO()
    console = Console(file=file, width=140, color_system=None, highlight=False, markup=False)
    draw(render(outcome, TODAY), console, plain=plain)
    report = file.getvalue()
    assert "[bold red]x[/]" in report
    assert "[/nothing] :smile:" in report
    assert not set(report) & {"\x1b", "\x07", "\r", "\N{RIGHT-TO-LEFT OVERRIDE}", "\ud800"}
    assert "\nnew" not in report
