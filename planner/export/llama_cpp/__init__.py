"""Plan to launch files for llama.cpp: one start script per machine, their settings, a README.

The head, which holds the first layers, runs llama-server; every other machine runs one
ggml-rpc-server per device, so that each device can work while the next one does and one that
fails takes no other with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from planner.export import writing
from planner.export.llama_cpp.documents import readme, settings
from planner.export.llama_cpp.machines import machines_of
from planner.export.llama_cpp.scripts import SETTINGS, script
from planner.export.machines import check_fits, script_name
from planner.export.title import title_of
from planner.plan import Plan

__all__ = ["export_llama_cpp", "files"]


def export_llama_cpp(
    plan: Plan, directory: Path, hosts: Mapping[str, str], *, force: bool
) -> tuple[Path, ...]:
    """Writes the launch files of `plan` into `directory`, made if it is not there.

    Args:
        plan: what to start.
        directory: where to.
        hosts: machine to address; machines without stay on loopback.
        force: write over files of these names, and write a plan that does not fit.

    Returns:
        The files written, scripts first.

    Raises:
        EngineError: llama.cpp cannot do what the plan says, or the plan does not fit.
        RequestError: a host the plan does not have, or no address.
        FileError: a file is there already, or cannot be written.
    """
    check_fits(plan, force=force)
    return writing.write_files(directory, files(plan, hosts), force=force)


def files(plan: Plan, hosts: Mapping[str, str]) -> dict[str, str]:
    """Name and text of every launch file, scripts first and the head's before the others."""
    machines = machines_of(plan, hosts)
    title = title_of(plan)
    texts = {
        script_name(machine.name): script(plan, machine, machines, title) for machine in machines
    }
    texts[SETTINGS] = settings(plan, machines, title)
    texts["README.txt"] = readme(plan, machines, title)
    return texts
