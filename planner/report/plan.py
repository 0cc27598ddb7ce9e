"""A whole plan as a report, in the order a reader asks."""

from __future__ import annotations

import datetime

from planner.plan import Infeasible, Outcome, Plan, Serving
from planner.report import choices, infeasible, memory, outlook, proof, ranks, serving, speed
from planner.report.blocks import Block, Cell, line


def render(outcome: Outcome, today: datetime.date, *, explain_speed: bool = False) -> list[Block]:
    """The report of `outcome`; ages of prices are counted to `today`.

    `explain_speed` draws where a token's time goes.
    """
    if isinstance(outcome, Infeasible):
        return infeasible.render(outcome)
    return _plan(outcome, today, explain_speed=explain_speed)


def _plan(plan: Plan, today: datetime.date, *, explain_speed: bool) -> list[Block]:
    engine = f"{plan.engine.name} {plan.engine.build}"
    return [
        choices.question(plan.model, engine),
        choices.headline(plan),
        *_layout(plan),
        *choices.choices(plan),
        *choices.price_sources([plan, *(body for _, body in choices.distinct(plan)[1:])], today),
        *memory.memory(plan),
        *serving.counted(plan.engine),
        *serving.pool(plan, plan.engine),
        *memory.verdict(plan, plan.remedies),
        *ranks.weights(plan),
        *_other_memory(plan),
        *memory.settings(plan),
        *speed.speed(plan, plan.model.concurrency, explained=explain_speed),
        *outlook.outlook(plan),
        *outlook.alternatives(plan),
        *outlook.excluded(plan),
        *proof.proof(plan.solver),
        *proof.notes(plan.warnings, plan.assumptions, _shown(plan)),
        *proof.next_commands(plan),
        proof.provenance(plan.planner_version, plan.catalog_digest),
    ]


def _layout(plan: Plan) -> list[Block]:
    """Degrees and settings of a grid; those of llama.cpp are in its start scripts."""
    if not isinstance(plan.engine, Serving):
        return []
    return [line(serving.layout(plan, plan.engine))]


def _other_memory(plan: Plan) -> list[Block]:
    """Devices and verdict of the choices that are not the cheapest."""
    blocks: list[Block] = []
    for name, body in choices.distinct(plan)[1:]:
        if body.ranks and (body.devices, body.ranks) == (plan.devices, plan.ranks):
            blocks.append(line(Cell(f"memory of the {name}: as above", "dim")))
            continue
        blocks += memory.memory(body, name)
        blocks += serving.pool(body, plan.engine)
        blocks += memory.verdict(body, body.remedies)
    return blocks


def _shown(plan: Plan) -> tuple[str, ...]:
    """Parts of warnings whose matter the report shows elsewhere: settings, waits, old prices."""
    waits = (f"prompt of {entry.tokens:,} tokens" for entry in plan.prefill if not entry.usable)
    ages = (f"days old ({node.price_date})" for node in plan.cluster if node.price_date)
    return (*memory.commands(plan), *waits, *ages)
