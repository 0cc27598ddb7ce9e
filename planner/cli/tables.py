"""`plan models|gpus|nodes|links|quants|engines [show NAME]`: what the catalogs hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from planner.cli import catalogs, models, options, output
from planner.cli.exits import Exit

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.catalog.schema import Row

SUMMARIES = {
    "models": "Models, their parameters and names.",
    "gpus": "GPUs and accelerators, their memory and bandwidth.",
    "nodes": "Machines to buy, build or rent, and their prices.",
    "links": "Links inside machines and networks between them.",
    "quants": "Quantizations, bits and quality.",
    "engines": "Engine builds whose rules are known.",
}


def table(name: str) -> typer.Typer:
    """The commands `plan NAME` and `plan NAME show ROW`."""
    app = typer.Typer(
        name=name,
        help=SUMMARIES[name],
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    own = name == "models"
    app.callback(invoke_without_command=True)(models.list_models if own else _lister(name))
    app.command("show")(models.show if own else _shower(name))
    return app


def _lister(table: str) -> Callable[..., int | None]:
    def show_all(
        context: typer.Context,
        catalog: options.CatalogFolders = None,
        as_json: options.Json = False,
        plain: options.Plain = False,
    ) -> int | None:
        if context.invoked_subcommand is not None:
            return None
        rows = catalogs.load(catalog)
        if as_json:
            output.show_data([row.model_dump(mode="json") for row in _rows(table, rows)])
            return Exit.YES
        from planner.report.catalog import listing

        output.show(listing(table, rows), plain=plain)
        return Exit.YES

    show_all.__doc__ = SUMMARIES[table]
    return show_all


def _shower(table: str) -> Callable[..., int]:
    def show(
        name: options.Name,
        catalog: options.CatalogFolders = None,
        as_json: options.Json = False,
        plain: options.Plain = False,
    ) -> int:
        """Every fact of one row, with its source."""
        rows = catalogs.load(catalog)
        found = _row(table, rows, name)
        if as_json:
            output.show_data(found.model_dump(mode="json"))
            return Exit.YES
        from planner.report.catalog import details

        output.show(details(found, rows), plain=plain)
        return Exit.YES

    return show


def _rows(table: str, catalog: Catalog) -> list[Row]:
    """Rows of one kind in file order; networks count as links between machines."""
    if table == "links":
        return [*catalog.links.values(), *catalog.networks.values()]
    field = {"quants": "quantizations", "engines": "engine_builds"}.get(table, table)
    return list(getattr(catalog, field).values())


def _row(table: str, catalog: Catalog, name: str) -> Row:
    """The row called `name`; other cases count for quantizations."""
    if table == "quants":
        return catalog.quantization(name)
    from planner.errors import UnknownName

    known = {row.name: row for row in _rows(table, catalog)}
    if name not in known:
        raise UnknownName(table.removesuffix("s"), name, known)
    return known[name]
