"""`plan models [show NAME]`: the models of the catalogs, all or those that are what is wanted."""

from __future__ import annotations

import typer

from planner.cli import catalogs, options, output
from planner.cli.exits import Exit


def list_models(
    context: typer.Context,
    family: options.FamilyFilter = None,
    publisher: options.PublisherFilter = None,
    min_params: options.MinParameters = None,
    max_params: options.MaxParameters = None,
    moe: options.Experts = None,
    min_context: options.MinContext = None,
    catalog: options.CatalogFolders = None,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int | None:
    """Models, their parameters and names; those that are all that is asked for."""
    if context.invoked_subcommand is not None:
        return None
    from planner.services.models import Wanted, select

    rows = catalogs.load(catalog)
    wanted = Wanted(
        family=family,
        publisher=publisher,
        min_parameters=min_params,
        max_parameters=max_params,
        moe=moe,
        min_context=min_context,
    )
    found = select(rows, wanted)
    if as_json:
        output.show_data([model.row.model_dump(mode="json") for model in found])
    else:
        from planner.report.models import listing

        output.show(listing(found, len(rows.models)), plain=plain)
    return Exit.YES if found else Exit.NO


def show(
    name: options.Name,
    catalog: options.CatalogFolders = None,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Every fact of one row, with its source."""
    rows = catalogs.load(catalog)
    row = rows.model(name)
    if as_json:
        output.show_data(row.model_dump(mode="json"))
        return Exit.YES
    from planner.report.models import details
    from planner.services.models import describe

    output.show(details(describe(rows, row)), plain=plain)
    return Exit.YES
