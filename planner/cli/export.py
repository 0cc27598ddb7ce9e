"""`plan export TARGET PLAN.json -o DIR`: the files that start a plan."""

from __future__ import annotations

from planner.cli import files, options, output, parsing
from planner.cli.exits import Exit
from planner.errors import UnknownName

TARGETS = ("llama.cpp",)


def export(
    target: options.Target,
    plan: options.PlanFile,
    folder: options.OutputFolder,
    host: options.Hosts = None,
    force: options.Force = False,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Write the files that start a plan."""
    if target not in TARGETS:
        raise UnknownName("target", target, TARGETS, hint="targets are " + ", ".join(TARGETS))
    addresses = parsing.addresses("--host", host or ())
    from planner.export.llama_cpp import export_llama_cpp
    from planner.report.written import render

    paths = export_llama_cpp(files.read_plan(plan), folder, addresses, force=force)
    if as_json:
        output.show_data({"kind": "export", "target": target, "files": [str(p) for p in paths]})
    else:
        output.show(render(paths), plain=plain)
    return Exit.YES
