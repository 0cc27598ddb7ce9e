"""What stands around a plan, each by solving again.

What the headroom buys, what the next quantization costs, what prices and exclusions change, what to
fetch, what it rents for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from planner import market
from planner.catalog.load import Catalog
from planner.catalog.schema import ModelRow
from planner.engine_choice import checkpoints, quantization_of
from planner.market import REASONS, Market, Reason
from planner.plan import (
    Body,
    Download,
    Excluded,
    Headroom,
    NextQuantization,
    Sensitivity,
)
from planner.solver.formulation import Formulation
from planner.solver.search import Candidate
from planner.solver.session import Choice, Session
from planner.subject import Subject
from planner.units import GB

if TYPE_CHECKING:
    from planner.served import Served

CONTEXT_STEP = 256
UNLIMITED = Decimal(10**9)
"""A budget nobody reaches, USD."""
LARGEST_FILE = 50 * GB
"""Bytes of one file on the Hugging Face hub; larger models are split into shards."""
_WAIVABLE: tuple[Reason, ...] = (
    "used",
    "withdrawn",
    "announced",
    "unverified memory",
    "not on demand",
)


def published(catalog: Catalog, subject: Subject | Served) -> Sequence[str]:
    """Quantizations to choose from for a model, of the kind its engine loads."""
    if isinstance(subject, Subject):
        mixes = gguf_mixes(catalog, subject.row)
        return [name for name in mixes if catalog.quantizations[name].kind == "gguf"]
    return checkpoints(catalog, subject.row)


def gguf_mixes(catalog: Catalog, row: ModelRow) -> list[str]:
    """GGUF quantizations to choose from for a model.

    Those of its repositories; where no full list of them is known, also the mixes that public
    pages list for every model. Of a file, the file.
    """
    if row.file:
        return [row.recommended]
    shelves = [shelf for shelf in row.repositories if shelf.kind == "gguf"]
    known = [name for shelf in shelves for name in shelf.quantizations]
    if not any(shelf.complete for shelf in shelves):
        known += [
            name
            for name, entry in catalog.quantizations.items()
            if entry.nominal_bits and entry.kind == "gguf"
        ]
    return [name for name in dict.fromkeys(known) if name in catalog.quantizations]


def largest(low: int, high: int, works: Callable[[int], bool]) -> int:
    """Largest value in [low, high] that works, given that `low` does and that it is monotone."""
    while low < high:
        middle = (low + high + 1) // 2
        if works(middle):
            low = middle
        else:
            high = middle - 1
    return low


def headroom(session: Session, choice: Choice) -> Headroom:
    """Largest context, and most users, that the same cluster holds by memory; speed is shared."""
    subject = choice.formulation.subject
    quant = subject.quantization.name
    window = subject.architecture.context_length
    steps = largest(
        subject.context // CONTEXT_STEP,
        window // CONTEXT_STEP,
        lambda n: _holds(session, choice, quant, context=n * CONTEXT_STEP),
    )
    users = largest(
        subject.concurrency,
        choice.formulation.most_users,
        lambda n: _holds(session, choice, quant, concurrency=n),
    )
    return Headroom(
        context=max(min(steps * CONTEXT_STEP, window), subject.context),
        concurrency=users,
        tokens_per_second_per_user=choice.formulation.user_speed(choice.candidate, users),
    )


def _holds(session: Session, choice: Choice, quant: str, **changes: Any) -> bool:
    """Whether the cluster of a choice holds a changed request, speed and price aside."""
    formulation = session.formulation(
        quant,
        Market(waived=frozenset(REASONS)),
        **{
            "only": tuple(choice.nodes),
            "exclude": (),
            "min_speed": 0.0,
            **changes,
        },
    )
    return formulation.holds(choice.candidate, formulation.picks_of(choice.nodes))


def next_quantization(session: Session, formulation: Formulation) -> NextQuantization | None:
    """The next better quantization with a larger file, and its cheapest plan at any price."""
    catalog = session.catalog
    subject = formulation.subject
    rank = subject.quantization.rank
    names = published(catalog, subject)
    entries = (quantization_of(catalog, subject.row, name) for name in names)
    for entry in sorted(entries, key=lambda entry: entry.rank):
        if entry.rank <= rank:
            continue
        limit = "budget_per_hour" if market.rented(session.request) else "budget"
        changes: dict[str, Any] = {limit: UNLIMITED}
        unlimited = session.formulation(entry.name, **changes)
        choice = session.optimum(unlimited, "cost")
        if session.clock.left <= 0:
            break
        return NextQuantization(
            quant=entry.name,
            file_bytes=unlimited.subject.file_bytes,
            cost_usd=None if choice is None else float(choice.usd),
        )
    return None


def sensitivity(
    session: Session, cheapest: Choice, best_value: Choice | None, fastest: Choice | None
) -> tuple[Sensitivity, ...]:
    """Whether low or high prices change the three choices.

    A choice changes where another cluster is strictly better at these prices.
    """
    quant = cheapest.formulation.subject.quantization.name
    found: list[Sensitivity] = []
    for level in ("low", "high"):
        formulation = session.formulation(quant, Market(level=level))
        for name, choice in (
            ("cheapest", cheapest),
            ("best_value", best_value),
            ("fastest", fastest),
        ):
            if choice is None:
                continue
            best = session.optimum(formulation, choice.goal, start=_again(formulation, choice))
            if session.clock.left <= 0:
                return tuple(found)
            found.append(
                Sensitivity(
                    level=level,
                    choice=name,
                    cluster=None if best is None else best.text,
                    cost_usd=None if best is None else float(best.usd),
                    changed=best is None or best.nodes != choice.nodes,
                )
            )
    return tuple(found)


def _again(formulation: Formulation, choice: Choice) -> Candidate | None:
    """The cluster of a choice in another formulation; None where it breaks a limit there."""
    return formulation.assess(formulation.picks_of(choice.nodes), choice.candidate.joint)


def excluded(session: Session, cheapest: Choice) -> tuple[Excluded, ...]:
    """Hardware and ways left out, why, and what that costs: each let in alone and solved again."""
    request, catalog = session.request, session.catalog
    by_reason: dict[Reason, list[str]] = {}
    for node, gpu in market.considered(request, catalog):
        reason = market.left_out(request, catalog, node, gpu)
        if reason is not None:
            by_reason.setdefault(reason, []).append(node.name)
    found = []
    for reason, nodes in sorted(by_reason.items()):
        saving = None
        if reason in _WAIVABLE:
            saving = _saving(session, cheapest, Market(waived=frozenset({reason})))
        found.append(
            Excluded(
                reason=REASONS[reason],
                nodes=tuple(nodes),
                saving_usd=saving,
                option="--used" if reason == "used" else None,
            )
        )
    found.extend(_ways(session, cheapest))
    return tuple(found)


def _ways(session: Session, cheapest: Choice) -> Iterable[Excluded]:
    """Limits that are our defaults, lifted one at a time."""
    request = session.request
    ways: list[tuple[str, str, dict[str, Any]]] = []
    if not request.mixed_families:
        ways.append(
            (
                "device families are not mixed in a replica",
                "--mixed-families",
                {"mixed_families": True},
            )
        )
    more = min(2 * request.max_nodes, cheapest.formulation.limits.devices)
    if more > request.max_nodes:
        text = f"at most {request.max_nodes} machines"
        ways.append((text, f"--max-nodes {more}", {"max_nodes": more}))
    if request.min_speed > 0:
        ways.append(
            (
                f"at least {request.min_speed:g} tokens/s per user",
                "--min-speed 0",
                {"min_speed": 0.0},
            )
        )
    for reason, option, changes in ways:
        saving = _saving(session, cheapest, Market(), **changes)
        yield Excluded(reason=reason, nodes=(), saving_usd=saving, option=option)


def _saving(session: Session, cheapest: Choice, view: Market, **changes: Any) -> float | None:
    """USD the cheapest plan would cost less; 0 where not cheaper; None where time ran out."""
    quant = cheapest.formulation.subject.quantization.name
    formulation = session.formulation(quant, view, **changes)
    choice = session.optimum(formulation, "cost", budget=cheapest.candidate.cost - 1)
    if choice is None:
        return None if session.clock.left <= 0 else 0.0
    return float(cheapest.usd - choice.usd)


def download(session: Session, formulation: Formulation, body: Body) -> Download:
    """The file to fetch, the disk it takes, and the time to spread it over the machines."""
    subject = formulation.subject
    quant = subject.quantization.name
    size = subject.file_bytes
    gguf = isinstance(subject, Subject)
    kind = "gguf" if gguf else "checkpoint"
    repository = next(
        (r.id for r in subject.row.repositories if r.kind == kind and quant in r.quantizations),
        None,
    )
    head = body.devices[0].node
    remote = 0
    if gguf:  # of a checkpoint every machine reads the files itself
        remote = sum(d.budget.weights for d in body.devices if d.node != head)
    network = None if body.cost.network is None else session.catalog.networks[body.cost.network]
    seconds = None
    if remote and network is not None:
        seconds = remote / (network.achieved_per_direction or network.bandwidth_per_direction)
    return Download(
        repository=repository,
        quant=quant,
        bytes=size,
        shards=-(-size // LARGEST_FILE) if gguf else None,
        disk_bytes=size,
        load_seconds=seconds,
    )
