"""`plan verify PLAN.json`: checks a plan from the physics alone, knowing nothing of the solver."""

from __future__ import annotations

from planner.cli import catalogs, files, options, output
from planner.cli.exits import Exit


def verify(
    plan: options.PlanFile,
    catalog: options.CatalogFolders = None,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Check a plan from the physics alone."""
    from planner.report.verification import Verification, render
    from planner.verify import verify as check

    read = files.read_plan(plan)
    rows = catalogs.load_with(catalog, read.request.model)
    violations = check(read, rows)
    value = Verification(
        agrees=not violations,
        violations=violations,
        same_catalog=read.catalog_digest == rows.digest,
    )
    output.answer(value, lambda: render(value, str(plan)), as_json=as_json, plain=plain)
    return Exit.NO if violations else Exit.YES
