"""The head of a report: what was asked, the answer in one line, three choices side by side."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from planner.cost import electricity_per_month
from planner.plan import Body, ClusterNode, ModelSummary, Performance, Plan
from planner.report import serving, words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Line, line
from planner.request import PlanRequest
from planner.units import usd

_SOURCE_LINE = 98
"""Characters a price's line takes at most; `plan nodes show` has the whole source."""


def question(model: ModelSummary, engine: str) -> Line:
    """Model, quantization, context, users and engine in one line."""
    return line(
        Cell(model.name, "strong"),
        f" {model.quant}, {words.tokens(model.context)} tokens for "
        f"{words.plural(model.concurrency, 'user')}, {engine}",
        Cell(
            f"  ({words.parameters(model.parameters)} parameters, "
            f"{words.parameters(model.active_parameters)} active)",
            "dim",
        ),
    )


def headline(plan: Plan) -> Line:
    """Cluster, price, what is left, verdict and speed."""
    speed = plan.performance[0] if plan.performance else None
    parts: list[str | Cell] = [
        "Cheapest: " if plan.solver.status == "optimal" else "Best found so far: ",
        Cell(words.cluster(plan.cluster), "strong"),
        ", ",
        Cell(_price_in_question(plan, plan.request), "strong"),
        _left(plan, plan.request),
        ", ",
        words.verdict(plan.verdict),
    ]
    if speed is not None:
        parts += [f", {words.span(speed.tokens_per_second)} tok/s"]
    return line(*parts)


def _price_in_question(body: Body, request: PlanRequest) -> str:
    if request.budget_per_hour is not None or body.cost.purchase_usd is None:
        return words.hourly(body.cost.hourly_usd)
    return usd(body.cost.purchase_usd)


def _left(body: Body, request: PlanRequest) -> str:
    remaining = body.cost.remaining_usd
    if remaining is None:
        return ""
    if request.budget_per_hour is not None:
        left, budget = words.hourly(remaining), words.hourly(float(request.budget_per_hour))
    elif request.budget is not None:
        left, budget = usd(remaining), usd(float(request.budget))
    else:
        return ""
    return f" ({left} left of {budget})"


def _named(plan: Plan) -> tuple[tuple[str, Body | None], ...]:
    return (
        ("cheapest", plan.choices.cheapest),
        ("best value", plan.choices.best_value),
        ("fastest", plan.choices.fastest),
    )


def distinct(plan: Plan) -> list[tuple[str, Body]]:
    """The choices by name, those with the same cluster as one: `cheapest, best value`."""
    columns: list[tuple[str, Body]] = []
    for name, body in _named(plan):
        if body is None:
            continue
        same = [i for i, (_, other) in enumerate(columns) if _same(other, body)]
        if same:
            columns[same[0]] = (f"{columns[same[0]][0]}, {name}", columns[same[0]][1])
        else:
            columns.append((name, body))
    return columns


def choices(plan: Plan) -> list[Block]:
    """Cheapest, best value and fastest side by side; equal ones share a column."""
    columns = distinct(plan)
    if not columns:
        return []
    missing = [name for name, body in _named(plan) if body is None]
    note = f"no {' or '.join(missing)}: prices are missing" if missing else ""
    titles = (Column(""), *(Column(title) for title, _ in columns))
    rows = _choice_rows([body for _, body in columns], plan.request)
    return [Heading("Choices", note), Grid(titles, rows)]


def _same(one: Body, other: Body) -> bool:
    return one.cluster == other.cluster and one.cost == other.cost and one.layout == other.layout


def _choice_rows(bodies: Sequence[Body], request: PlanRequest) -> tuple[tuple[Cell, ...], ...]:
    rows: list[tuple[str, list[Cell]]] = [
        ("cluster", [Cell(words.cluster(body.cluster), "strong") for body in bodies]),
        ("devices", [Cell(_devices(body)) for body in bodies]),
        ("layout", [Cell(_layout(body)) for body in bodies]),
        ("price", [_price(body) for body in bodies]),
        ("rent", [Cell(words.hourly(body.cost.hourly_usd)) for body in bodies]),
        ("left of the budget", [_remaining(body, request) for body in bodies]),
    ]
    for index, speed in enumerate(bodies[0].performance):
        depth = f"tok/s at {words.tokens(speed.depth)}"
        rows.append((depth, [_speed(body.performance, index) for body in bodies]))
        if request.concurrency > 1:
            rows.append(("- each user", [_user(body.performance, index) for body in bodies]))
    rows += [
        ("tok/s per $10,000", [_value(body, body.cost.purchase_usd, 10_000) for body in bodies]),
        ("tok/s per $/h", [_value(body, body.cost.hourly_usd, 1) for body in bodies]),
        ("renting the same", [_rent(body) for body in bodies]),
        ("power, rack", [_power(body) for body in bodies]),
        ("full requests at once", [_requests(body) for body in bodies]),
        ("memory", [_memory(body) for body in bodies]),
    ]
    return tuple(
        (Cell(label, "dim"), *cells)
        for label, cells in rows
        if any(cell.text != words.NONE for cell in cells)
    )


def _devices(body: Body) -> str:
    """GPUs of the cluster; of a grid with how many of them are not used."""
    idle = sum(not device.slots for device in body.devices) if body.ranks else 0
    return words.devices(body.cluster) + (f", {idle} of them idle" if idle else "")


def _layout(body: Body) -> str:
    return serving.degrees(body.layout) if body.ranks else words.NONE


def _requests(body: Body) -> Cell:
    return Cell(words.NONE if body.kv_pool is None else serving.requests(body.kv_pool))


def _price(body: Body) -> Cell:
    cost = body.cost
    text = words.money(cost.purchase_usd)
    if cost.purchase_low_usd is not None and cost.purchase_high_usd is not None:
        text += f" ({usd(cost.purchase_low_usd)}-{usd(cost.purchase_high_usd)})"
    return Cell(text)


def _remaining(body: Body, request: PlanRequest) -> Cell:
    if body.cost.remaining_usd is None:
        return Cell(words.NONE)
    per_hour = request.budget_per_hour is not None
    return Cell((words.hourly if per_hour else words.money)(body.cost.remaining_usd))


def _speed(performance: Sequence[Performance], index: int) -> Cell:
    if index >= len(performance):
        return Cell(words.NONE)
    return Cell(words.span(performance[index].tokens_per_second))


def _user(performance: Sequence[Performance], index: int) -> Cell:
    if index >= len(performance):
        return Cell(words.NONE)
    return Cell(words.span(performance[index].tokens_per_second_per_user), "dim")


def _value(body: Body, cost: float | None, units: int) -> Cell:
    """Tokens per second for so many units of money."""
    if not body.performance or not cost:
        return Cell(words.NONE)
    return Cell(f"{body.performance[0].tokens_per_second.best / cost * units:.2f}")


def _rent(body: Body) -> Cell:
    """Rent of the devices of a bought cluster, cheapest to dearest offer."""
    rent = body.rent_usd_per_hour
    if rent is None or body.cost.hourly_usd is not None:
        return Cell(words.NONE)
    if rent.low == rent.high:
        return Cell(words.hourly(rent.best))
    return Cell(f"${rent.high:,.2f}-{words.hourly(rent.low)}")


def _power(body: Body) -> Cell:
    power, units = body.cost.power_w, body.cost.rack_units
    parts = [] if power is None else [words.power(power)]
    if power is not None and body.cost.hourly_usd is None:
        parts[0] += f" ({usd(round(float(electricity_per_month(power))))}/month)"
    parts += [] if units is None else [f"{units:g} U"]
    return Cell(", ".join(parts) or words.NONE)


def _memory(body: Body) -> Cell:
    device = words.tightest(body)
    spare = "" if device is None else f", {words.mib(words.spare(device))} MiB spare"
    if body.ranks and device is not None and words.spare(device) < 0:
        spare = f", {serving.short(words.spare(device))} short at worst"
    cell = words.verdict(body.verdict)
    return Cell(cell.text + spare, cell.tone)


def price_sources(bodies: Sequence[Body], today: datetime.date) -> list[Block]:
    """Per node type of all choices: price each, who says so and how long ago; then networks."""
    blocks: list[Block] = []
    nodes: dict[str, ClusterNode] = {}
    for node in (node for body in bodies for node in body.cluster):
        nodes.setdefault(node.node_type, node)
    for node in nodes.values():
        each = usd(node.purchase_usd) if node.purchase_usd else words.hourly(node.hourly_usd)
        price, age = f"{node.node_type}: {each} each (", words.age(node.price_date, today)
        left = max(_SOURCE_LINE - len(price) - len(age.text) - len("): "), 20)
        source = words.shortened(node.price_source, left)
        blocks.append(line(Cell(price, "dim"), age, Cell(f"): {source}", "dim")))
    joined = dict.fromkeys(
        f"{body.cost.network}: {usd(body.cost.network_usd)}, in the price"
        for body in bodies
        if body.cost.network is not None
    )
    return blocks + [line(Cell(network, "dim")) for network in joined]
