"""Different ways to serve the same request: each without the GPU models of those before it."""

from __future__ import annotations

from planner.plan import Alternative, Body
from planner.solver.session import Choice, Session

MOST = 4
LEAST = 3


def alternatives(
    session: Session, cheapest: Choice, body: Body, shown: list[Choice | None]
) -> tuple[Alternative, ...]:
    """At least three diverse plans where the market has them, cheapest first.

    Diverse: no GPU model of the cheapest, then none of the first alternative either, and so on.
    Clusters already shown as a choice come last and only to fill up to three.
    """
    quant = cheapest.formulation.subject.quantization.name
    taken = list(cheapest.gpus)
    known = {choice.text for choice in (cheapest, *shown) if choice is not None}
    fresh: list[Choice] = []
    seen: list[Choice] = []
    while len(fresh) < MOST:
        without = (*session.request.exclude, *taken)
        choice = session.optimum(session.formulation(quant, exclude=without), "cost")
        if choice is None or session.clock.left <= 0:
            break
        (seen if choice.text in known else fresh).append(choice)
        taken.extend(choice.gpus)
    fresh.extend(seen[: max(LEAST - len(fresh), 0)])
    fresh.sort(key=lambda choice: choice.candidate.cost)
    found = []
    for choice in fresh[:MOST]:
        other = session.body(choice)
        found.append(Alternative(name=choice.text, trades=_trades(body, other), body=other))
    return tuple(found)


def _trades(body: Body, other: Body) -> str:
    """What an alternative gives and takes against the cheapest: money, speed, room, power."""
    parts = []
    one, two = body.cost.purchase_usd, other.cost.purchase_usd
    if one is None or two is None:
        one, two = body.cost.hourly_usd, other.cost.hourly_usd
    if one is not None and two is not None:
        parts.append(f"{'+' if two >= one else '-'}${abs(two - one):,.{0 if one > 500 else 2}f}")
    speed = other.performance[0].tokens_per_second.best / body.performance[0].tokens_per_second.best
    parts.append(f"{speed:.2g}x the speed")
    if body.cost.power_w and other.cost.power_w:
        parts.append(f"{other.cost.power_w / body.cost.power_w:.2g}x the power")
    machines = sum(entry.count * entry.machines for entry in other.cluster)
    parts.append(f"{machines} machine{'s' if machines > 1 else ''}")
    return ", ".join(parts)
