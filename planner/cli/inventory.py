"""`plan inventory import|scan|show`: the machines somebody owns, and what links their devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli import catalogs, files, options, output
from planner.cli.exits import Exit

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.inventory import Inventory

app = typer.Typer(
    name="inventory",
    help="Own machines: read what their tools print, look at what links their devices.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command("import")
def import_(
    dumps: options.Dumps,
    gpu: options.NamedGpus = None,
    host_memory: options.HostMemory = None,
    catalog: options.CatalogFolders = None,
    file: options.InventoryOutput = None,
    force: options.Force = False,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Make an inventory from what tools printed on the machines."""
    from planner.services.inventory import Told, import_files

    if file is not None:
        files.check_new(file, force=force)
    rows = catalogs.load(catalog)
    found = import_files(dumps, rows, Told(gpus=tuple(gpu or ()), host_memory=host_memory))
    return _answer(found, rows, file, force=force, as_json=as_json, plain=plain)


@app.command()
def scan(
    gpu: options.NamedGpus = None,
    host_memory: options.HostMemory = None,
    catalog: options.CatalogFolders = None,
    file: options.InventoryOutput = None,
    force: options.Force = False,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Make an inventory of the machine this runs on."""
    from planner.services.inventory import Told
    from planner.services.inventory_scan import scan as ask

    if file is not None:
        files.check_new(file, force=force)
    rows = catalogs.load(catalog)
    found, missing = ask(rows, Told(gpus=tuple(gpu or ()), host_memory=host_memory))
    for what in missing:
        output.note(f"note: not asked: {what}")
    return _answer(found, rows, file, force=force, as_json=as_json, plain=plain)


@app.command()
def show(
    inventory: options.InventoryFile,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Draw an inventory: machines, sockets, switches, devices and their links."""
    from planner.inventory import LARGEST, from_toml
    from planner.model.local_file import read_whole
    from planner.report.inventory import render
    from planner.topology.importers.detect import decoded

    text = decoded(read_whole(inventory, LARGEST), str(inventory))
    found = from_toml(text, str(inventory))
    output.answer(found, lambda: render(found), as_json=as_json, plain=plain)
    return Exit.YES


def _answer(
    found: Inventory,
    rows: Catalog,
    file: Path | None,
    *,
    force: bool,
    as_json: bool,
    plain: bool,
) -> int:
    """Prints an inventory, writes it where asked, and asks for GPUs nobody has named."""
    from planner.inventory import to_toml
    from planner.report.inventory import render
    from planner.services.inventory import ask

    output.answer(found, lambda: render(found), as_json=as_json, plain=plain)
    if file is not None:
        files.write_new(file, to_toml(found), force=force)
    question = ask(found, rows)
    if question:
        named = ", ".join(f"{name}: {part}" for name, part in found.unknown[:4])
        more = "" if len(found.unknown) <= 4 else f" and {len(found.unknown) - 4} more"
        output.note(f"note: GPU not known of {named}{more}\n\nhint: {question}")
    return Exit.YES
