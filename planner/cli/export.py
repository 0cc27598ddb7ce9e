"""`plan export TARGET PLAN.json -o DIR`: the files that start a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from planner.cli import files, options, output, parsing
from planner.cli.exits import Exit
from planner.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.plan import Plan

TARGETS = ("llama.cpp", "vllm", "sglang")


class Writer(Protocol):
    """Writes the launch files of a plan."""

    def __call__(
        self, plan: Plan, directory: Path, hosts: Mapping[str, str], *, force: bool
    ) -> tuple[Path, ...]:
        """The files written."""


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
    from planner.report.written import render

    paths = writer_of(target)(files.read_plan(plan), folder, addresses, force=force)
    if as_json:
        output.show_data({"kind": "export", "target": target, "files": [str(p) for p in paths]})
    else:
        output.show(render(paths), plain=plain)
    return Exit.YES


def writer_of(target: str) -> Writer:
    """What writes the files of one of `TARGETS`."""
    match target:
        case "vllm":
            from planner.export.vllm import export_vllm

            return export_vllm
        case "sglang":
            from planner.export.sglang import export_sglang

            return export_sglang
        case _:
            from planner.export.llama_cpp import export_llama_cpp

            return export_llama_cpp
