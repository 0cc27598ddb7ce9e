"""The models of the catalogs: the table people choose from, and every fact of one."""

from __future__ import annotations

from collections.abc import Sequence

from planner.catalog.schema import Repository
from planner.report import words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Pairs, line, row
from planner.report.catalog import facts
from planner.services.models import Model, Network

_COLUMNS = (
    Column("model", keep=True),
    Column("parameters", right=True),
    Column("active", right=True),
    Column("layers", right=True),
    Column("attention"),
    Column("context", right=True),
    Column("family"),
)
_NARROW = (0, 1, 2, 5, 6)
"""Columns that are left where not all have room."""
_UNKNOWN = (words.NONE, words.NONE, "no rules for it", words.NONE)


def listing(found: Sequence[Model], total: int) -> list[Block]:
    """The models found, and how many of all they are."""
    if not found:
        return [line(Cell(f"none of {total:,} models is all of that", "warn"))]
    cells = tuple(_cells(model) for model in found)
    narrow = Grid(
        tuple(_COLUMNS[i] for i in _NARROW),
        tuple(tuple(entry[i] for i in _NARROW) for entry in cells),
    )
    count = words.plural(total, "model")
    if len(found) < total:
        count = f"{len(found):,} of {count}"
    return [Grid(_COLUMNS, cells, narrow=narrow, tight=True), line(count)]


def _cells(model: Model) -> tuple[Cell, ...]:
    network = model.network
    active, layers, attention, context = _UNKNOWN
    if network is not None:
        active = words.parameters(network.active_parameters) if network.experts else "all"
        layers, attention = str(network.layers), network.attention
        context = words.tokens(network.context)
    return row(
        Cell(model.row.name, "strong"),
        words.parameters(model.row.parameters),
        active,
        layers,
        attention,
        context,
        model.row.family or words.NONE,
    )


def details(model: Model) -> list[Block]:
    """Every fact of one model with its source, what its network is, and where files are."""
    entry = model.row
    pairs = [*facts(entry, but=("repositories", "config"))]
    if model.network is not None:
        pairs += _network(model.network)
    pairs += [("repository", Cell(_repository(found))) for found in entry.repositories]
    pairs += facts(entry, only=("config",))
    return [Heading(entry.name), Pairs(tuple(pairs))]


def _network(network: Network) -> list[tuple[str, Cell]]:
    experts = f"{network.experts} experts a token" if network.experts else "none: dense"
    pairs = [
        ("active", f"{network.active_parameters:,}"),
        ("MTP blocks", f"{network.mtp_parameters:,}" if network.mtp_parameters else "none"),
        ("layers", str(network.layers)),
        ("attention", network.attention),
        ("experts", experts),
        ("context", f"{network.context:,} tokens"),
        ("vision", "yes, a tower that is not counted" if network.vision else "no"),
    ]
    return [(name, Cell(text)) for name, text in pairs]


def _repository(found: Repository) -> str:
    """`owner/name (gguf: Q4_K_M and more)  [source]`; a checkpoint repository holds one format."""
    held = ", ".join(found.quantizations)
    if held and found.kind == "gguf" and not found.complete:
        held += " and more"
    return f"{found.id} ({found.kind}{': ' if held else ''}{held})  [{found.source}]"
