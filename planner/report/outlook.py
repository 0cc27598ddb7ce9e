"""Around the answer: what the room still buys, the next step up, rent, prices, the download."""

from __future__ import annotations

from decimal import Decimal

from planner.cost import break_even_hours
from planner.model.own_quantization import OWN
from planner.plan import (
    Alternative,
    Download,
    Excluded,
    Headroom,
    ModelSummary,
    NextQuantization,
    Plan,
    Sensitivity,
)
from planner.report import words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Pairs, line, row
from planner.units import GB, significant, usd
from planner.values import Range

_HOURS_PER_YEAR = 8766
_NAMES_SHOWN = 2


def outlook(plan: Plan) -> list[Block]:
    """One line each: room, next quantization, rent, price cases, file."""
    rows: list[tuple[str, Cell]] = []
    if plan.headroom is not None:
        rows.append(("the spare memory buys", _room(plan.headroom, plan.model)))
    if plan.next_quantization is not None:
        rows.append(("next quantization up", _next(plan.next_quantization, plan)))
    rented = plan.request.budget_per_hour is not None
    if plan.rent_usd_per_hour is not None and not rented:
        rows.append(("renting the same", _rent(plan.rent_usd_per_hour, plan.cost.purchase_usd)))
    elif not rented:
        rows.append(("renting the same", Cell("no offer for these devices in the catalogs")))
    for entry in plan.sensitivity:
        if entry.choice == "cheapest" or entry.changed:
            name = entry.choice.replace("_", " ")
            rows.append((f"{name} at {entry.level} prices", _at_prices(entry, rented)))
    if plan.download is not None:
        own, noun = plan.download.quant == OWN, "checkpoint" if plan.ranks else "file"
        label = f"the {noun}" if own else f"{noun} to fetch"
        rows.append((label, _download(plan.download, grid=bool(plan.ranks))))
    return [Heading("Around it"), Pairs(tuple(rows))] if rows else []


def _room(headroom: Headroom, model: ModelSummary) -> Cell:
    """More context or more users; the context asked for may be all the model has."""
    ways = []
    if headroom.context > model.context:
        ways.append(f"{words.tokens(headroom.context)} tokens per user")
    if headroom.concurrency > model.concurrency:
        users = words.plural(headroom.concurrency, "user")
        shared = headroom.tokens_per_second_per_user
        speed = "" if shared is None else f", {significant(shared, 2)} tok/s each"
        ways.append(f"{users} of {words.tokens(model.context)} tokens by memory{speed}")
    return Cell(", or ".join(ways) or "neither more context nor one user more")


def _next(following: NextQuantization, plan: Plan) -> Cell:
    noun = "checkpoint" if plan.ranks else "file"
    size = f"{following.quant} ({following.file_bytes / GB:,.1f} GB {noun}): "
    if following.cost_usd is None:
        return Cell(size + "no plan within these limits")
    rented = plan.request.budget_per_hour is not None
    now = plan.cost.hourly_usd if rented else plan.cost.purchase_usd
    price = words.hourly(following.cost_usd) if rented else usd(following.cost_usd)
    if now is None:
        return Cell(size + price)
    if following.cost_usd <= now:
        return Cell(f"{size}{price}, no more than this plan", "good")
    more = following.cost_usd - now
    return Cell(f"{size}{price}, {words.hourly(more) if rented else usd(more)} more")


def _rent(rent: Range, purchase: float | None) -> Cell:
    low, high = sorted((rent.low, rent.high))
    text = (
        words.hourly(rent.best) if low == high else f"{words.hourly(low)} to {words.hourly(high)}"
    )
    if purchase and rent.best > 0:
        hours = float(break_even_hours(Decimal(purchase), Decimal(rent.best)) or 0)
        text += (
            f"; at {words.hourly(rent.best)} the purchase price is spent after "
            f"{hours:,.0f} h ({hours / _HOURS_PER_YEAR:.1f} years around the clock)"
        )
    return Cell(text)


def _at_prices(entry: Sensitivity, rented: bool) -> Cell:
    if entry.cluster is None:
        return Cell("nothing fits the budget any more", "warn")
    price = ""
    if entry.cost_usd is not None:
        price = f", {words.hourly(entry.cost_usd) if rented else usd(entry.cost_usd)}"
    if entry.changed:
        return Cell(f"another choice: {entry.cluster}{price}", "warn")
    return Cell(f"the same choice{price}")


def _download(download: Download, *, grid: bool) -> Cell:
    """What to fetch and the disk for it: of the head node, in a grid of every machine."""
    make = "" if grid else "; make it with llama-quantize"
    source = download.repository or f"no repository known{make}"
    shards = "" if download.shards is None else f" in {words.plural(download.shards, 'file')}"
    what = "as it is" if download.quant == OWN else download.quant
    where = "" if download.quant == OWN else f"{shards}, {source}"
    text = (
        f"{what}, {download.bytes / GB:,.2f} GB{where}; "
        f"{'every machine' if grid else 'head node'} needs "
        f"{-(-download.disk_bytes // GB):,} GB of disk"
    )
    if download.load_seconds is not None:
        text += (
            f"; sending the weights over the network takes {words.seconds(download.load_seconds)}"
        )
    return Cell(text)


def alternatives(plan: Plan) -> list[Block]:
    """Different ways and what each trades; no names where they only repeat the clusters."""
    if not plan.alternatives:
        return []
    columns = [
        Column("way"),
        Column("cluster"),
        Column("price", right=True),
        Column("tok/s", right=True),
        Column("trades"),
    ]
    rows = tuple(map(_alternative, plan.alternatives))
    if all(_parts(cells[0].text) == _parts(cells[1].text) for cells in rows):
        columns, rows = columns[1:], tuple(cells[1:] for cells in rows)
    return [Heading("Other ways"), Grid(tuple(columns), rows)]


def _parts(cluster: str) -> set[str]:
    return set(cluster.split(" + "))


def _alternative(entry: Alternative) -> tuple[Cell, ...]:
    body = entry.body
    price = body.cost.purchase_usd
    speed = words.span(body.performance[0].tokens_per_second) if body.performance else words.NONE
    return row(
        entry.name,
        words.cluster(body.cluster),
        words.hourly(body.cost.hourly_usd) if price is None else usd(price),
        speed,
        Cell(entry.trades, "dim"),
    )


def excluded(plan: Plan) -> list[Block]:
    """Hardware that was not considered, why, and what leaving it out costs."""
    if not plan.excluded:
        return []
    columns = (
        Column("reason"),
        Column("would save", right=True),
        Column("let in by"),
        Column("nodes"),
    )
    telling = [entry for entry in plan.excluded if entry.saving_usd != 0]
    blocks: list[Block] = [Heading("Not considered")]
    if telling:
        blocks.append(Grid(columns, tuple(map(_excluded, telling))))
    idle = [_with_option(entry) for entry in plan.excluded if entry.saving_usd == 0]
    if idle:
        blocks.append(line(Cell(f"would save nothing: {'; '.join(idle)}", "dim")))
    return blocks


def _with_option(entry: Excluded) -> str:
    nodes = f" ({words.plural(len(entry.nodes), 'node')})" if entry.nodes else ""
    return f"{entry.reason}{nodes}{f' ({entry.option})' if entry.option else ''}"


def _excluded(entry: Excluded) -> tuple[Cell, ...]:
    names = ", ".join(entry.nodes[:_NAMES_SHOWN])
    more = len(entry.nodes) - _NAMES_SHOWN
    if more > 0:
        names += f", {more} more"
    saving = "unknown" if entry.saving_usd is None else usd(entry.saving_usd)
    return row(
        entry.reason, Cell(saving, "warn"), Cell(entry.option or "", "dim"), Cell(names, "dim")
    )
