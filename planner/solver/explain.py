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
from planner.catalog.schema import Quantization
from planner.engine_choice import checkpoints, quantization_of
from planner.plan import Conflict, Relaxation, judged
from planner.request import Stock
from planner.solver.commands import command_of, plain
from planner.solver.session import Choice, Session
from planner.solver.surroundings import CONTEXT_STEP, UNLIMITED, largest
from planner.subject import Subject
from planner.units import gigabytes, usd

SPEED_STEP = 0.1
TIME_STEP = 1e-4
"""Seconds."""
MOST_MACHINES = 15

Found = Iterator[Relaxation]
Quants = tuple[str, ...]
"""Quantizations that would do, best first: one, or with `auto` all that are published."""


def explain(
    session: Session, quants: Quants
) -> tuple[tuple[Conflict, ...], tuple[Relaxation, ...]]:
    """The conflicting limits and one relaxation per limit, or that it cannot help alone."""
    relaxations: list[Relaxation] = []
    for relax in _RELAXATIONS:
        relaxations.extend(relax(session, quants))
    return tuple(_conflicts(session, quants, relaxations)), tuple(relaxations)


def _first(session: Session, quants: Quants, **changes: Any) -> Choice | None:
    """The plan of the best quantization that has one."""
    choices = (session.optimum(session.formulation(quant, **changes), "cost") for quant in quants)
    return next((choice for choice in choices if choice is not None), None)


def _works(session: Session, quants: Quants, **changes: Any) -> bool:
    """Whether any quantization has a plan; the worst is the smallest and likeliest."""
    return _first(session, quants[::-1], **changes) is not None


def _change(
    session: Session, limit: str, old: object, new: object, quants: Quants, **changes: Any
) -> Relaxation:
    choice = _first(session, quants, **changes)
    return Relaxation(
        change=limit,
        from_=str(old),
        to=str(new),
        cost_usd=None if choice is None else float(choice.usd),
        command=command_of(session.request.model_copy(update=changes)),
    )


def _useless(limit: str, old: object) -> Relaxation:
    return Relaxation(change=limit, from_=str(old), to=None, cost_usd=None, command=None)


def _budget(session: Session, quants: Quants) -> Found:
    """The cheapest plan there is, in whole dollars (cents where rented)."""
    request = session.request
    name = "budget_per_hour" if market.rented(request) else "budget"
    old = getattr(request, name)
    if old is None:
        return
    limit = name.replace("_", "-")
    unlimited: dict[str, Any] = {name: UNLIMITED}
    found = (session.optimum(session.formulation(quant, **unlimited), "cost") for quant in quants)
    choices = [choice for choice in found if choice is not None]
    if not choices:
        yield _useless(limit, old)
        return
    least = min(choice.usd for choice in choices)
    step = Decimal("0.01") if market.rented(request) else Decimal(1)
    new = (least / step).to_integral_value(rounding=ROUND_CEILING) * step
    yield _change(session, limit, old, new, quants, **{name: new})


def _quant(session: Session, quants: Quants) -> Found:
    """The best quantization below the asked one that has a plan; `auto` has tried them all."""
    if len(quants) > 1:
        return
    old = quants[0]
    for entry in _below(session, old):
        if _works(session, (entry.name,)):
            yield _change(session, "quant", old, entry.name, (entry.name,), quant=entry.name)
            return
    yield _useless("quant", old)


def _below(session: Session, quant: str) -> list[Quantization]:
    """Quantizations of lesser quality that the same engine loads, best first."""
    catalog, subject = session.catalog, session.formulation(quant).subject
    if isinstance(subject, Subject):
        entries = [entry for entry in catalog.quantizations.values() if entry.kind == "gguf"]
    else:
        names = checkpoints(catalog, subject.row)
        entries = [quantization_of(catalog, subject.row, name) for name in names]
    rank = subject.quantization.rank
    return sorted((e for e in entries if e.rank < rank), key=lambda entry: -entry.rank)


def _context(session: Session, quants: Quants) -> Found:
    """The longest context that has a plan, in steps of the engine's cache."""
    old = session.formulation(quants[0]).subject.context
    steps = (old - 1) // CONTEXT_STEP

    def works(count: int) -> bool:
        return _works(session, quants, context=count * CONTEXT_STEP)

    if steps < 1 or not works(1):
        yield _useless("context", old)
        return
    new = largest(1, steps, works) * CONTEXT_STEP
    yield _change(session, "context", old, new, quants, context=new)


def _concurrency(session: Session, quants: Quants) -> Found:
    """The most users that have a plan."""
    old = session.request.concurrency

    def works(count: int) -> bool:
        return _works(session, quants, concurrency=count)

    if old == 1 or not works(1):
        yield _useless("concurrency", old)
        return
    new = largest(1, old - 1, works)
    yield _change(session, "concurrency", old, new, quants, concurrency=new)


def _speed(session: Session, quants: Quants) -> Found:
    """For each target on tokens, the best that anything within the other limits reaches."""
    request = session.request
    targets = (
        ("min-speed", "min_speed", request.min_speed or None, 0.0),
        ("tpot", "tpot", request.tpot, None),
        ("throughput", "throughput", request.throughput, None),
    )
    for name, field, old, lifted in targets:
        if old is None:
            continue
        change: dict[str, Any] = {field: lifted}
        problems = [session.formulation(quant, **change) for quant in quants]
        fastest = (problem.minimise("floor", session.clock).candidate for problem in problems)
        times = [candidate.floor for candidate in fastest if candidate is not None]
        if not times:
            yield _useless(name, plain(old))
            continue
        new = _reached(field, min(times), request.concurrency)
        yield _change(session, name, plain(old), plain(new), quants, **{field: new})


def _reached(field: str, nanoseconds: int, users: int) -> float:
    """What a time per token of all users gives, rounded so that it is still met."""
    match field:
        case "min_speed":
            steps = math.floor(10**9 / (nanoseconds * users) / SPEED_STEP)
            return round(steps * SPEED_STEP, 1)
        case "throughput":
            return round(math.floor(10**9 / nanoseconds / SPEED_STEP) * SPEED_STEP, 1)
        case _:
            return math.ceil(nanoseconds * users / 10**9 / TIME_STEP) / 10**4


def _first_token(session: Session, quants: Quants) -> Found:
    """The shortest wait for a first token that has a plan, in whole milliseconds."""
    old = session.request.ttft
    if old is None:
        return
    freely = _first(session, quants, ttft=None)
    if freely is None:
        yield _useless("ttft", plain(old))
        return
    speed = session.body(freely).performance[0]
    most = math.ceil(judged(speed.calibration, speed.ttft) * 1000)
    least = math.floor(old * 1000) + 1
    new = smallest(least, most, lambda ms: _works(session, quants, ttft=ms / 1000)) / 1000
    yield _change(session, "ttft", plain(old), plain(new), quants, ttft=new)


def _stock(session: Session, quants: Quants) -> Found:
    """For each node in short supply, the least stock of it alone that has a plan."""
    stocks = session.request.stock
    for entry in stocks:
        others = tuple(stock for stock in stocks if stock.node != entry.node)

        def works(count: int, node: str = entry.node, rest: tuple[Stock, ...] = others) -> bool:
            return _works(session, quants, stock=(*rest, Stock(node=node, count=count)))

        name = f"stock of {entry.node}"
        most = max(session.request.max_nodes, entry.count)
        if not works(most):
            yield _useless(name, entry.count)
            continue
        new = smallest(entry.count + 1, most, works)
        stock = (*others, Stock(node=entry.node, count=new))
        yield _change(session, name, entry.count, new, quants, stock=stock)


def _machines(session: Session, quants: Quants) -> Found:
    """The fewest machines that have a plan."""
    old = session.request.max_nodes

    def works(count: int) -> bool:
        return _works(session, quants, max_nodes=count)

    if old >= MOST_MACHINES or not works(MOST_MACHINES):
        yield _useless("max-nodes", old)
        return
    new = smallest(old + 1, MOST_MACHINES, works)
    yield _change(session, "max-nodes", old, new, quants, max_nodes=new)


def _ways(session: Session, quants: Quants) -> Found:
    """Used hardware, and mixed device families, where they alone make a plan."""
    for name, text in (("used", "used hardware"), ("mixed_families", "mixed device families")):
        if getattr(session.request, name):
            continue
        changes: dict[str, Any] = {name: True}
        if _works(session, quants, **changes):
            yield _change(session, text, "no", "yes", quants, **changes)
        else:
            yield _useless(text, "no")


def smallest(low: int, high: int, works: Callable[[int], bool]) -> int:
    """Smallest value in [low, high] that works, given that `high` does and that it is monotone."""
    return largest(low - 1, high - 1, lambda value: not works(value)) + 1


_RELAXATIONS = (
    _budget,
    _quant,
    _context,
    _concurrency,
    _speed,
    _first_token,
    _stock,
    _machines,
    _ways,
)
_DETAILS = {
    "budget": "the cheapest cluster that holds it costs {to}",
    "budget-per-hour": "the cheapest cluster that holds it rents for {to} an hour",
    "quant": "the best below it that has a plan is {to}",
    "context": "the longest that has a plan is {to} tokens",
    "concurrency": "at most {to} at a time have a plan",
    "min-speed": "the fastest cluster within the other limits reaches {to} tokens/s per user",
    "tpot": "the fastest cluster within the other limits takes {to} s per token",
    "throughput": "the fastest cluster within the other limits reaches {to} tokens/s in all",
    "ttft": "the shortest wait that has a plan is {to} s",
    "max-nodes": "it takes {to} machines",
    "used hardware": "with used hardware there is a plan",
    "mixed device families": "with device families mixed in a replica there is a plan",
}


def _conflicts(
    session: Session, quants: Quants, relaxations: list[Relaxation]
) -> Iterator[Conflict]:
    """What is needed, and every limit that, changed alone, would give a plan."""
    formulation = session.formulation(quants[-1])
    subject = formulation.subject
    yield Conflict(
        limit="memory",
        value=f"{gigabytes(subject.file_bytes)} GB",
        detail=f"{subject.row.name} {quants[-1]} with {subject.concurrency} x "
        f"{subject.context:,} tokens needs {gigabytes(formulation.needed_bytes)} GB on "
        "devices, before runtime and reserve",
    )
    helping = [entry for entry in relaxations if entry.to is not None]
    for entry in helping:
        assert entry.to is not None
        to = usd(float(entry.to)) if entry.change.startswith("budget") else entry.to
        detail = _DETAILS.get(entry.change, "it takes {to}").format(to=to)
        yield Conflict(limit=entry.change, value=entry.from_, detail=detail)
    if not formulation.options:
        yield Conflict(limit="nodes", value="none", detail=_why_no_node(session))
    elif not helping:
        yield Conflict(
            limit="several",
            value="",
            detail="no single limit, changed alone, gives a plan: lift the budget and the targets "
            "on speed together (--min-speed 0), or allow more machines",
        )


def _why_no_node(session: Session) -> str:
    """Why not one node may be taken."""
    request, catalog = session.request, session.catalog
    reasons: dict[str, list[str]] = {}
    for node, gpu in market.considered(request, catalog):
        reason = market.left_out(request, catalog, node, gpu)
        assert reason is not None
        reasons.setdefault(market.REASONS[reason], []).append(node.name)
    if not reasons:
        way = "rented" if market.rented(request) else "bought"
        return f"--only and --exclude leave no node that can be {way}"
    return "; ".join(f"{', '.join(nodes)}: {reason}" for reason, nodes in reasons.items())
