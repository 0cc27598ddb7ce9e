"""Why there is no plan: the limits that conflict, and the smallest change of each that helps.

One limit is relaxed at a time and the request solved again, so every answer is proved: it works
with the change and does not one step short of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Any

from planner import market
from planner.plan import Conflict, Relaxation
from planner.request import Stock
from planner.solver.commands import command_of, plain
from planner.solver.search import minimise
from planner.solver.session import Choice, Session
from planner.solver.surroundings import CONTEXT_STEP, UNLIMITED, largest
from planner.units import gigabytes, usd

SPEED_STEP = 0.1
MOST_MACHINES = 15

Found = Iterator[Relaxation]


def explain(session: Session, quant: str) -> tuple[tuple[Conflict, ...], tuple[Relaxation, ...]]:
    """The conflicting limits and one relaxation per limit, or that it cannot help alone."""
    relaxations: list[Relaxation] = []
    for relax in (_budget, _quant, _context, _concurrency, _speed, _stock, _machines, _ways):
        relaxations.extend(relax(session, quant))
    return tuple(_conflicts(session, quant, relaxations)), tuple(relaxations)


def _feasible(session: Session, quant: str, **changes: Any) -> Choice | None:
    return session.any(session.formulation(quant, **changes))


def _change(
    session: Session, limit: str, old: object, new: object, choice: Choice | None, **changes: Any
) -> Relaxation:
    request = session.request.model_copy(update=changes)
    return Relaxation(
        change=limit,
        from_=str(old),
        to=str(new),
        cost_usd=None if choice is None else float(choice.usd),
        command=command_of(request),
    )


def _useless(limit: str, old: object) -> Relaxation:
    return Relaxation(change=limit, from_=str(old), to=None, cost_usd=None, command=None)


def _budget(session: Session, quant: str) -> Found:
    """The cheapest plan there is, in whole dollars (cents where rented)."""
    request = session.request
    name = "budget_per_hour" if market.rented(request) else "budget"
    old = getattr(request, name)
    if old is None:
        return
    changes: dict[str, Any] = {name: UNLIMITED}
    choice = session.cheapest(session.formulation(quant, **changes))
    if choice is None:
        yield _useless(name.replace("_", "-"), old)
        return
    step = Decimal("0.01") if market.rented(request) else Decimal(1)
    new = (choice.usd / step).to_integral_value(rounding=ROUND_CEILING) * step
    yield _change(session, name.replace("_", "-"), old, new, choice, **{name: new})


def _quant(session: Session, quant: str) -> Found:
    """The best quantization below the asked one that has a plan."""
    catalog = session.catalog
    rank = catalog.quantizations[quant].rank
    below = sorted(
        (q for q in catalog.quantizations.values() if q.kind == "gguf" and q.rank < rank),
        key=lambda q: -q.rank,
    )
    for entry in below:
        choice = _feasible(session, entry.name)
        if choice is not None:
            yield _change(session, "quant", quant, entry.name, choice, quant=entry.name)
            return
    yield _useless("quant", quant)


def _context(session: Session, quant: str) -> Found:
    """The longest context that has a plan, in steps of the engine's cache."""
    old = session.formulation(quant).subject.context
    steps = (old - 1) // CONTEXT_STEP

    def works(count: int) -> bool:
        return _feasible(session, quant, context=count * CONTEXT_STEP) is not None

    if steps < 1 or not works(1):
        yield _useless("context", old)
        return
    new = largest(1, steps, works) * CONTEXT_STEP
    yield _change(session, "context", old, new, _feasible(session, quant, context=new), context=new)


def _concurrency(session: Session, quant: str) -> Found:
    """The most users that have a plan."""
    old = session.request.concurrency

    def works(count: int) -> bool:
        return _feasible(session, quant, concurrency=count) is not None

    if old == 1 or not works(1):
        yield _useless("concurrency", old)
        return
    new = largest(1, old - 1, works)
    choice = _feasible(session, quant, concurrency=new)
    yield _change(session, "concurrency", old, new, choice, concurrency=new)


def _speed(session: Session, quant: str) -> Found:
    """The fastest that anything within the other limits is, in steps of 0.1 tokens/s."""
    old = session.request.min_speed
    if old <= 0:
        return
    formulation = session.formulation(quant, min_speed=0.0)
    found = minimise(formulation.problem, "floor", session.clock).candidate
    if found is None:
        yield _useless("min-speed", plain(old))
        return
    users = formulation.subject.concurrency
    steps = math.floor(10**9 / (found.floor * users) / SPEED_STEP)
    new = round(steps * SPEED_STEP, 1)
    choice = _feasible(session, quant, min_speed=new)
    yield _change(session, "min-speed", plain(old), plain(new), choice, min_speed=new)


def _stock(session: Session, quant: str) -> Found:
    """For each node in short supply, the least stock of it alone that has a plan."""
    stocks = session.request.stock
    for entry in stocks:
        others = tuple(stock for stock in stocks if stock.node != entry.node)

        def works(count: int, node: str = entry.node, rest: tuple[Stock, ...] = others) -> bool:
            stock = (*rest, Stock(node=node, count=count))
            return _feasible(session, quant, stock=stock) is not None

        name = f"stock of {entry.node}"
        most = max(session.request.max_nodes, entry.count)
        if not works(most):
            yield _useless(name, entry.count)
            continue
        new = smallest(entry.count + 1, most, works)
        stock = (*others, Stock(node=entry.node, count=new))
        choice = _feasible(session, quant, stock=stock)
        yield _change(session, name, entry.count, new, choice, stock=stock)


def _machines(session: Session, quant: str) -> Found:
    """The fewest machines that have a plan."""
    old = session.request.max_nodes

    def works(count: int) -> bool:
        return _feasible(session, quant, max_nodes=count) is not None

    if old >= MOST_MACHINES or not works(MOST_MACHINES):
        yield _useless("max-nodes", old)
        return
    new = smallest(old + 1, MOST_MACHINES, works)
    choice = _feasible(session, quant, max_nodes=new)
    yield _change(session, "max-nodes", old, new, choice, max_nodes=new)


def _ways(session: Session, quant: str) -> Found:
    """Used hardware, and mixed device families, where they alone make a plan."""
    for name, text in (("used", "used hardware"), ("mixed_families", "mixed device families")):
        if not getattr(session.request, name):
            choice = _feasible(session, quant, **{name: True})
            if choice is None:
                yield _useless(text, "no")
            else:
                yield _change(session, text, "no", "yes", choice, **{name: True})


def smallest(low: int, high: int, works: Callable[[int], bool]) -> int:
    """Smallest value in [low, high] that works, given that `high` does and that it is monotone."""
    while low < high:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _conflicts(session: Session, quant: str, relaxations: list[Relaxation]) -> Iterator[Conflict]:
    """The limits that, lifted alone, would give a plan; with what stands against them."""
    request = session.request
    subject = session.formulation(quant).subject
    helping = {entry.change: entry for entry in relaxations if entry.to is not None}
    size = gigabytes(subject.weights.total_bytes)
    yield Conflict(
        limit="memory",
        value=f"{size} GB",
        detail=f"{subject.row.name} {quant} with {subject.concurrency} x {subject.context:,} "
        f"tokens needs {gigabytes(_needed(session, quant))} GB on devices, before runtime "
        "and reserve",
    )
    details = {
        "budget": "the cheapest cluster that holds it costs {to}",
        "budget-per-hour": "the cheapest cluster that holds it rents for {to} an hour",
        "min-speed": "the fastest cluster within the other limits reaches {to} tokens/s per user",
        "max-nodes": "it takes {to} machines",
    }
    values = {
        "budget": request.budget,
        "budget-per-hour": request.budget_per_hour,
        "min-speed": request.min_speed,
        "max-nodes": request.max_nodes,
    }
    for limit, entry in helping.items():
        if limit in details and entry.to is not None:
            money = limit.startswith("budget")
            to = usd(float(entry.to)) if money else entry.to
            yield Conflict(
                limit=limit, value=str(values[limit]), detail=details[limit].format(to=to)
            )
    if not helping:
        yield Conflict(
            limit="several",
            value="",
            detail="no single limit, lifted alone, gives a plan: lift the budget and the minimum "
            "speed together (--min-speed 0), or allow more machines",
        )


def _needed(session: Session, quant: str) -> int:
    return sum(session.formulation(quant).problem.sizes)
