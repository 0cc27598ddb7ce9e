"""`plan catalog check|schema`: the integrity of the catalogs, and the shape of their files."""

from __future__ import annotations

import typer

from planner.cli import catalogs, options, output
from planner.cli.exits import Exit

app = typer.Typer(
    name="catalog",
    help="Check the catalogs, or print the schema of their files.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
def check(
    catalog: options.CatalogFolders = None,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Every broken rule of the catalogs, and every fact nobody has read in a source."""
    import datetime

    from planner.catalog.check import check as judge
    from planner.catalog.check import errors
    from planner.catalog.load import TABLES
    from planner.report.findings import CheckReport, render

    rows = catalogs.load(catalog)
    findings = judge(rows, datetime.date.today())
    broken = bool(errors(findings))
    report = CheckReport(
        sound=not broken,
        rows=sum(len(getattr(rows, f"{table}s")) for table in TABLES),
        findings=findings,
    )
    output.answer(report, lambda: render(report), as_json=as_json, plain=plain)
    return Exit.NO if broken else Exit.YES


@app.command()
def schema(as_json: options.Json = False) -> int:
    """JSON Schema of a catalog file, for editors and checkers (always JSON)."""
    from planner.catalog.schema_json import schema_json

    output.show_data(schema_json())
    return Exit.YES
