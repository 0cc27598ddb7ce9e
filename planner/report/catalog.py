"""What the catalogs hold: one table per kind of row, and every fact of one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, assert_never

from planner.catalog import Catalog, schema
from planner.catalog.prices import hourly, purchase_bounds, purchase_quote
from planner.report import words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Pairs, Tone, row
from planner.units import GB, GIB, significant, usd

Cells = tuple[Cell, ...]
_SIZES = frozenset({"usable_memory", "reserved_memory", "host_memory", "memory", "default"})
_RATES = ("bandwidth", "per_direction")


def gpus(rows: Sequence[schema.Gpu]) -> list[Block]:
    """GPUs with the memory the driver reports, bandwidth, power and availability."""
    columns = (
        Column("gpu", keep=True),
        Column("family"),
        Column("sold as", right=True),
        Column("usable GiB", right=True),
        Column("GB/s", right=True),
        Column("W", right=True),
        Column("state"),
    )
    return [
        Grid(
            columns,
            tuple(
                row(
                    Cell(entry.name, "strong"),
                    entry.family,
                    entry.nominal_memory,
                    words.NONE if entry.usable_memory is None else words.gib(entry.usable_memory),
                    f"{entry.memory_bandwidth / GB:,.0f}",
                    _number(entry.power),
                    _state(entry),
                )
                for entry in rows
            ),
        )
    ]


def nodes(rows: Sequence[schema.Node], catalog: Catalog) -> list[Block]:
    """Machines with their devices, purchase price or rent, power and availability."""
    columns = (
        Column("node", keep=True),
        Column("devices"),
        Column("to buy", right=True),
        Column("to rent", right=True),
        Column("state"),
        Column("low-high", right=True),
        Column("kW", right=True),
    )
    cells = tuple(_node(entry, catalog) for entry in rows)
    narrow = Grid(columns[:5], tuple(entry[:5] for entry in cells))
    return [Grid(columns, cells, narrow=narrow)]


def _node(entry: schema.Node, catalog: Catalog) -> Cells:
    bounds, rent = purchase_bounds(catalog, entry), hourly(catalog, entry)
    span = ""
    if bounds is not None and bounds[0] != bounds[2]:
        span = f"{_money(bounds[0])}-{_money(bounds[2])}"
    return row(
        Cell(entry.name, "strong"),
        f"{entry.gpus}x {entry.gpu}",
        words.NONE if bounds is None else _money(bounds[1]),
        words.hourly(None if rent is None else float(rent)),
        _state(entry),
        Cell(span, "dim"),
        words.NONE if entry.power is None else f"{entry.power / 1000:.1f}",
    )


def links(rows: Sequence[schema.Link], networks: Sequence[schema.Network]) -> list[Block]:
    """Links inside machines, then networks between them with what they cost."""
    inside = (
        Column("link", keep=True),
        Column("kind"),
        Column("GB/s a direction", right=True),
        Column("achieved", right=True),
        Column("latency", right=True),
    )
    between = (
        Column("network", keep=True),
        Column("GB/s a direction", right=True),
        Column("hop", right=True),
        Column("adapter", right=True),
        Column("cable", right=True),
        Column("switch", right=True),
        Column("joins", right=True),
    )
    return [
        Heading("Links inside machines"),
        Grid(
            inside,
            tuple(
                row(
                    Cell(entry.name, "strong"),
                    entry.kind,
                    _rate(entry.bandwidth_per_direction),
                    _rate(entry.achieved_per_direction),
                    _time(entry.latency),
                )
                for entry in rows
            ),
        ),
        Heading("Networks between machines", "hop: one pipeline step with llama.cpp RPC"),
        Grid(
            between,
            tuple(
                row(
                    Cell(entry.name, "strong"),
                    _rate(entry.bandwidth_per_direction),
                    _time(entry.hop_best),
                    _money(entry.adapter),
                    _money(entry.cable),
                    _money(entry.switch),
                    str(entry.ports),
                )
                for entry in networks
            ),
        ),
    ]


def quants(rows: Sequence[schema.Quantization]) -> list[Block]:
    """Quantizations from the finest to the coarsest."""
    columns = (
        Column("quantization", keep=True),
        Column("stored as"),
        Column("bits", right=True),
        Column("quality"),
    )
    ordered = sorted(rows, key=lambda entry: (entry.kind, -entry.rank))
    return [
        Grid(
            columns,
            tuple(
                row(
                    Cell(entry.name, "strong"),
                    entry.kind,
                    _number(entry.nominal_bits),
                    entry.quality,
                )
                for entry in ordered
            ),
        )
    ]


def engines(rows: Sequence[schema.EngineBuild]) -> list[Block]:
    """Engine builds and what sets them apart."""
    columns = (
        Column("build", keep=True),
        Column("engine"),
        Column("default"),
        Column("pipelines over RPC"),
        Column("devices", right=True),
    )
    return [
        Grid(
            columns,
            tuple(
                row(
                    Cell(entry.name, "strong"),
                    entry.engine,
                    "yes" if entry.default else "",
                    *_of_llama_cpp(entry),
                )
                for entry in rows
            ),
        )
    ]


def _of_llama_cpp(build: schema.EngineBuild) -> tuple[str, str]:
    """Whether a build pipelines over RPC, and its most devices; blank for other engines."""
    if build.max_devices is None:
        return "", ""
    return "yes" if build.rpc_pipelines else "no", str(build.max_devices)


def listing(table: str, catalog: Catalog) -> list[Block]:
    """The table of every row of one kind but models; `table` is the command's name."""
    draw: Mapping[str, Callable[[], list[Block]]] = {
        "gpus": lambda: gpus(list(catalog.gpus.values())),
        "nodes": lambda: nodes(list(catalog.nodes.values()), catalog),
        "links": lambda: links(list(catalog.links.values()), list(catalog.networks.values())),
        "quants": lambda: quants(list(catalog.quantizations.values())),
        "engines": lambda: engines(list(catalog.engine_builds.values())),
    }
    return draw[table]()


def details(entry: schema.Row, catalog: Catalog) -> list[Block]:
    """Every fact of one row with the source that is not the row's, prices of a node included."""
    other = isinstance(entry, schema.EngineBuild) and entry.max_devices is None
    pairs = facts(entry, but=("rpc_pipelines", "mtp_has_kv") if other else ())
    if isinstance(entry, schema.Node):
        pairs += _prices(entry, catalog)
    return [Heading(entry.name), Pairs(tuple(pairs))]


def facts(
    entry: schema.Row, *, only: Sequence[str] = (), but: Sequence[str] = ()
) -> list[tuple[str, Cell]]:
    """Fields of a row that have a value, `only` some or all `but` some, and their sources."""
    pairs: list[tuple[str, Cell]] = []
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        if name in ("name", "sources", *but) or (only and name not in only):
            continue
        if value in (None, "", (), {}):
            continue
        source = entry.sources.get(name)
        tone: Tone = "warn" if source == "unverified" else "plain"
        text = _value(name, value) + (f"  [{source}]" if source else "")
        pairs.append((name.replace("_", " "), Cell(text, tone)))
    return pairs


def _prices(entry: schema.Node, catalog: Catalog) -> list[tuple[str, Cell]]:
    rent, quote = hourly(catalog, entry), purchase_quote(catalog, entry)
    pairs: list[tuple[str, Cell]] = []
    if quote is not None:
        text = f"{_money(quote.mid)} ({_money(quote.low)}-{_money(quote.high)}), {quote.date}"
        pairs += [("to buy", Cell(text, "strong")), ("price source", Cell(quote.source))]
    if rent is not None:
        price = catalog.prices[entry.name]
        text = f"{words.hourly(float(rent))} {price.terms}, {price.date}"
        pairs += [("to rent", Cell(text, "strong")), ("price source", Cell(price.source))]
    return pairs or [("price", Cell("none known: left out where a price is needed", "warn"))]


def _value(name: str, value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name in _SIZES:
            return f"{significant(value / GIB)} GiB ({value:,} bytes)"
        case int() if name.endswith(_RATES) or any(part in name for part in _RATES):
            return _rate(value) + " GB/s"
        case int():
            return f"{value:,}"
        case tuple() | list():
            return ", ".join(_value(name, item) for item in value)
        case schema.Part():
            return f"{value.count}x {value.item}"
        case schema.RankTimes():
            times = ", ".join(f"{seconds * 1e6:,.4g}" for seconds in value.seconds)
            return f"{value.ranks} devices ({value.path}): {times} us"
        case schema.MemorySetting():
            return f"{_value('memory', value.memory)} after: {value.command}"
        case dict():
            return ", ".join(f"{key} {_value(key, item)}" for key, item in value.items())
        case _:
            return str(value)


def _state(entry: schema.Gpu | schema.Node) -> Cell:
    if entry.unverified:
        return Cell(f"{entry.availability}, unverified", "warn")
    match entry.availability:
        case "new":
            return Cell("new")
        case "used" | "withdrawn" | "announced":
            return Cell(entry.availability, "dim")
        case _:
            assert_never(entry.availability)


def _number(value: float | Decimal | None) -> str:
    if value is None:
        return words.NONE
    return f"{value:,g}" if isinstance(value, float) else str(value)


def _money(amount: Decimal) -> str:
    return usd(float(amount))


def _rate(value: int | None) -> str:
    return words.NONE if value is None else significant(value / GB)


def _time(value: float | None) -> str:
    if value is None:
        return words.NONE
    return f"{value * 1e6:.3g} us" if value < 1e-3 else f"{value * 1e3:.3g} ms"
