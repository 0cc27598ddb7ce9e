"""What one node costs to buy or rent, with the source and age of the figure.

A node built from parts costs the sum of its parts; any other node has a price row of its name.
A node with a part nobody has priced has no price: it is never free.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

from planner.catalog.load import Catalog
from planner.catalog.schema import Node, Part, Price
from planner.values import Value


class Quote(Value):
    """A price of one node in USD (per hour for rent), and what it stands on."""

    low: Decimal
    mid: Decimal
    high: Decimal
    rows: tuple[str, ...]
    """Price rows it is made of."""
    terms: tuple[str, ...]
    """Terms of these rows, each once."""
    source: str
    """Sources of the rows, each once, joined by `; `."""
    date: datetime.date
    """Day of the oldest row."""
    unverified: tuple[str, ...]
    """Rows with a figure nobody read in a source."""


def purchase_quote(catalog: Catalog, node: Node) -> Quote | None:
    """What `node` costs to buy; None where it is rented or a part of it has no price."""
    if node.kind == "rented":
        return None
    return _quote(catalog, node.parts or (Part(item=node.name, count=1),), "purchase")


def hourly_quote(catalog: Catalog, node: Node) -> Quote | None:
    """What `node` costs an hour; None where it is bought or its rent is not known."""
    if node.kind != "rented":
        return None
    return _quote(catalog, (Part(item=node.name, count=1),), "hourly")


def purchase_bounds(catalog: Catalog, node: Node) -> tuple[Decimal, Decimal, Decimal] | None:
    """Low, mid and high purchase price of `node`, USD; None where there is none."""
    quote = purchase_quote(catalog, node)
    return None if quote is None else (quote.low, quote.mid, quote.high)


def hourly(catalog: Catalog, node: Node) -> Decimal | None:
    """Rent of `node`, USD per hour; None where there is none."""
    quote = hourly_quote(catalog, node)
    return None if quote is None else quote.mid


def on_demand(catalog: Catalog, node: Node) -> bool:
    """Whether `node` can be had at its price at any time, without a contract."""
    quote = hourly_quote(catalog, node)
    return quote is None or not {"spot", "reserved"} & set(quote.terms)


def _quote(catalog: Catalog, parts: tuple[Part, ...], kind: str) -> Quote | None:
    rows: list[Price] = []
    totals = [Decimal(0), Decimal(0), Decimal(0)]
    for part in parts:
        row = catalog.prices.get(part.item)
        if row is None or row.kind != kind:
            return None
        rows.append(row)
        totals = [
            total + bound * part.count for total, bound in zip(totals, row.bounds, strict=True)
        ]
    return Quote(
        low=totals[0],
        mid=totals[1],
        high=totals[2],
        rows=tuple(row.name for row in rows),
        terms=tuple(dict.fromkeys(row.terms for row in rows)),
        source="; ".join(dict.fromkeys(row.source for row in rows)),
        date=min(row.date for row in rows),
        unverified=tuple(row.name for row in rows if row.unverified),
    )
