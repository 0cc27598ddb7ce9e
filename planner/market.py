"""Which nodes may be taken for a request, at what price, and which are left out and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from planner.catalog import prices
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Node
from planner.errors import ConflictingOptions, RequestError, UnknownName
from planner.request import PlanRequest

Level = Literal["low", "mid", "high"]
Reason = Literal[
    "used",
    "withdrawn",
    "announced",
    "unverified memory",
    "no price",
    "not on demand",
    "unsupported",
]

REASONS: dict[Reason, str] = {
    "used": "only to be had used",
    "withdrawn": "withdrawn from sale",
    "announced": "announced, not sold yet",
    "unverified memory": "nobody has published the memory its driver reports",
    "no price": "no dated price is known",
    "not on demand": "priced by spot market or yearly contract, not on demand",
    "unsupported": "llama.cpp does not run on it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A view of the catalog: which price level, and which reasons to leave out are waived."""

    level: Level = "mid"
    waived: frozenset[Reason] = frozenset()


def rented(request: PlanRequest) -> bool:
    """Whether the request is about renting."""
    return request.budget_per_hour is not None


def budget(request: PlanRequest) -> Decimal | None:
    """Most that may be spent: USD, or USD per hour where the request is about renting."""
    return request.budget_per_hour if rented(request) else request.budget


def token_limit(request: PlanRequest) -> float | None:
    """Most seconds per token of all users together, by any of the targets; None without one."""
    limits = []
    if request.min_speed > 0:
        limits.append(1 / (request.min_speed * request.concurrency))
    if request.tpot is not None:
        limits.append(request.tpot / request.concurrency)
    if request.throughput is not None:
        limits.append(1 / request.throughput)
    return min(limits, default=None)


def considered(request: PlanRequest, catalog: Catalog) -> Iterator[tuple[Node, Gpu]]:
    """Nodes of the asked way (bought or rented) that `--only` and `--exclude` leave."""
    for node in sorted(catalog.nodes.values(), key=lambda node: node.name):
        gpu = catalog.gpu(node.gpu)
        names = {node.name, gpu.name, gpu.vendor, node.vendor}
        if (node.kind == "rented") != rented(request):
            continue
        if request.only and not names & set(request.only):
            continue
        if names & set(request.exclude):
            continue
        yield node, gpu


def left_out(request: PlanRequest, catalog: Catalog, node: Node, gpu: Gpu) -> Reason | None:
    """Why a node never enters a default search, or None."""
    quote = price(request, catalog, node)
    if gpu.family == "other":
        return "unsupported"
    if gpu.usable_memory is None or {"all", "usable_memory"} & set(gpu.unverified):
        return "unverified memory"
    if quote is None:
        return "no price"
    if not prices.on_demand(catalog, node):
        return "not on demand"
    if node.availability == "new" or (node.availability == "used" and request.used):
        return None
    return node.availability


def price(request: PlanRequest, catalog: Catalog, node: Node) -> prices.Quote | None:
    """What one node costs to buy, or to rent where the request is about renting."""
    return (
        prices.hourly_quote(catalog, node)
        if rented(request)
        else prices.purchase_quote(catalog, node)
    )


def space(request: PlanRequest, types: int) -> str:
    """The clusters of `types` node types that a search for `request` covers, in words."""
    families = "any device families" if request.mixed_families else "one device family"
    way = "rented" if rented(request) else "bought"
    return (
        f"whole nodes of {types} types that can be {way} at mid prices, {families}, at most "
        f"{request.max_nodes} machines joined by one network"
    )


def check(request: PlanRequest, catalog: Catalog) -> None:
    """Refuses a request that makes no sense.

    Raises:
        RequestError: a number out of range or a name no catalog has.
    """
    if request.budget is not None and request.budget_per_hour is not None:
        raise ConflictingOptions(
            "--budget and --budget-per-hour: a cluster is bought or rented, not both",
            hint="ask twice, and compare the two answers",
        )
    amounts = {
        "--budget": request.budget,
        "--budget-per-hour": request.budget_per_hour,
        "--min-speed": request.min_speed,
        "--ttft": request.ttft,
        "--tpot": request.tpot,
        "--throughput": request.throughput,
    }
    for option, amount in amounts.items():
        if amount is not None and not 0 <= amount < 10**12:
            raise RequestError(
                f"{option} {amount}: not a sum that can be spent or reached",
                hint="give a plain number of zero or more, e.g. 300000",
            )
    for option in ("--ttft", "--tpot", "--throughput"):
        if amounts[option] == 0:
            raise RequestError(
                f"{option} 0: nothing is that fast", hint="leave it out, or give more"
            )
    counts = {
        "--max-nodes": request.max_nodes,
        "--ubatch": request.ubatch,
        "--input": request.input_tokens,
        "--output": request.output_tokens,
    }
    for option, count in counts.items():
        if not 1 <= count <= 10**7:
            raise RequestError(
                f"{option} {count}: out of range", hint="give a number from 1 to 10000000"
            )
    if not request.time_limit > 0:
        raise RequestError(
            f"--time-limit {request.time_limit}: no time to search", hint="give seconds, e.g. 60"
        )
    for stock in request.stock:
        catalog.node(stock.node)
        if stock.count < 0:
            raise RequestError(
                f"--stock {stock.node}={stock.count}: fewer than none",
                hint="give 0 to leave the node out",
            )
    known = {*catalog.nodes, *catalog.gpus, *(gpu.vendor for gpu in catalog.gpus.values())}
    known |= {node.vendor for node in catalog.nodes.values()}
    for option, names in (("--only", request.only), ("--exclude", request.exclude)):
        for name in names:
            if name not in known:
                raise UnknownName("node", name, known, hint=f"{option} takes nodes, GPUs, vendors")
