"""Judges a plan from the physics alone: what it says must be true of its own layout and cluster.

Knows nothing of the solver. Every device is asked of the engine's accounting again, every sum is
done again, every limit of the request is held against the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from planner import accounting, market
from planner.catalog.load import Catalog
from planner.plan import Body, Plan
from planner.request import PlanRequest
from planner.subject import Subject, subject_of_request
from planner.verify import slots
from planner.verify.common import differences, rounding
from planner.verify.slots import split_of

if TYPE_CHECKING:
    from planner.served import Served

__all__ = ["check_body", "split_of", "verify"]


def verify(plan: Plan, catalog: Catalog) -> tuple[str, ...]:
    """What is wrong with a plan, one sentence each; empty where it holds.

    Raises:
        PlannerError: the plan names a model, quantization or build the catalogs do not have.
    """
    subject = _planned(plan, catalog)
    found = list(_summary(plan, subject, catalog))
    found.extend(check_body(plan.request, subject, catalog, plan))
    choices = plan.choices
    named = {"best value": choices.best_value, "fastest": choices.fastest}
    for name, choice in {"cheapest": choices.cheapest, **named}.items():
        if choice is None:
            found.append(f"the choice '{name}' is missing")
    bodies = {name: body for name, body in named.items() if body is not None}
    bodies |= {f"alternative {entry.name}": entry.body for entry in plan.alternatives}
    for name, body in bodies.items():
        wrong = check_body(plan.request, subject, catalog, body)
        found.extend(f"{name}: {text}" for text in wrong)
    if choices.cheapest is not None:
        top = Body(**{name: getattr(plan, name) for name in Body.model_fields})
        found.extend(f"cheapest: {text}" for text in differences("", top, choices.cheapest))
    if not found:
        found.extend(_contradictions(plan, [plan, *bodies.values()]))
    return tuple(found)


def check_body(
    request: PlanRequest, subject: Subject | Served, catalog: Catalog, body: Body
) -> tuple[str, ...]:
    """What is wrong with one plan body for a request; empty where it holds."""
    if isinstance(subject, Subject):
        return slots.check_body(request, subject, catalog, body)
    from planner.verify import grid  # of no use to a layer split

    return grid.check_body(request, subject, catalog, body)


def _planned(plan: Plan, catalog: Catalog) -> Subject | Served:
    """What the plan says it is of, under its own engine."""
    request = plan.request.model_copy(update={"engine": plan.engine.name})
    if plan.engine.name == "llama.cpp":
        return subject_of_request(request, catalog, plan.model.quant)
    from planner.served import asked_of_request, served

    asked = asked_of_request(request, catalog, plan.model.quant)
    return served(catalog, request.model, plan.model.quant, asked)


def _contradictions(plan: Plan, bodies: Sequence[Body]) -> Iterator[str]:
    """Choices that another cluster of the same answer beats at its own goal."""

    def money(body: Body) -> float:
        spent = body.cost.hourly_usd if market.rented(plan.request) else body.cost.purchase_usd
        assert spent is not None
        return spent

    def seconds(body: Body) -> float:
        return 1 / body.performance[0].tokens_per_second.best

    goals = {
        "cheapest": (plan.choices.cheapest, money),
        "fastest": (plan.choices.fastest, seconds),
        "best value": (plan.choices.best_value, lambda body: money(body) * seconds(body)),
    }
    for name, (choice, score) in goals.items():
        assert choice is not None
        best = min(score(body) for body in bodies)
        if choice.solver.status == "optimal" and score(choice) > best * (1 + rounding(choice)):
            yield f"the {name} is beaten by another cluster of the same answer"


def _summary(plan: Plan, subject: Subject | Served, catalog: Catalog) -> Iterator[str]:
    """Model and settings as asked and as planned."""
    asked = plan.request.quant
    if asked != "auto" and asked.casefold() != plan.model.quant.casefold():
        yield f"{asked} was asked, the plan is for {plan.model.quant}"
    engine = plan.request.engine
    if engine not in (None, "auto", plan.engine.name):
        yield f"{engine} was asked, the plan is for {plan.engine.name}"
    if plan.download is not None and plan.download.bytes != subject.file_bytes:
        yield f"download.bytes is {plan.download.bytes}, the file has {subject.file_bytes}"
    yield from differences("model", accounting.summary(subject), plan.model)
    if isinstance(subject, Subject):
        yield from differences("engine", accounting.engine_of(subject), plan.engine)
    else:
        from planner.verify import grid

        yield from grid.check_engine(subject, catalog, plan)
