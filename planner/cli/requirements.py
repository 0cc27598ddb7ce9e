"""`plan requirements MODEL`: the requirements page of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from planner.cli import catalogs, options, output
from planner.cli.exits import Exit

if TYPE_CHECKING:
    from planner.services.requirements_values import Method


def requirements(
    model: options.Model,
    method: options.Method = "true",
    catalog: options.CatalogFolders = None,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Every quantization: bits, memory, devices that run it."""
    from planner.report.requirements import render
    from planner.services.requirements import requirements as find

    page = find(model, catalogs.load_with(catalog, model), cast("Method", method))
    output.answer(page, lambda: render(page), as_json=as_json, plain=plain)
    return Exit.YES
