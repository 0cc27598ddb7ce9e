"""Plan to launch files for engines that serve uniform grids: a start script per machine.

Each machine runs the engine once, with the same arguments and a few of its own; the engine starts
one process per device. The head, which holds the first ranks, answers requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from planner.export import writing
from planner.export.machines import check_fits, script_name
from planner.export.serving.dialect import Dialect
from planner.export.serving.documents import readme, settings
from planner.export.serving.machines import deployment_of
from planner.export.serving.scripts import SETTINGS, script
from planner.export.title import title_of
from planner.plan import Plan

__all__ = ["export_serving", "files"]


def export_serving(
    plan: Plan, directory: Path, hosts: Mapping[str, str], dialect: Dialect, *, force: bool
) -> tuple[Path, ...]:
    """Writes the launch files of `plan` into `directory`, made if it is not there.

    Args:
        plan: what to start.
        directory: where to.
        hosts: machine to address; machines without stay on loopback.
        dialect: the engine's command line.
        force: write over files of these names, and write a plan that does not fit.

    Returns:
        The files written, scripts first.

    Raises:
        EngineError: the engine cannot do what the plan says, or the plan does not fit.
        RequestError: a host the plan does not have, or no address.
        FileError: a file is there already, or cannot be written.
    """
    check_fits(plan, force=force)
    return writing.write_files(directory, files(plan, hosts, dialect), force=force)


def files(plan: Plan, hosts: Mapping[str, str], dialect: Dialect) -> dict[str, str]:
    """Name and text of every launch file, scripts first and the head's before the others."""
    deployment = deployment_of(plan, hosts, dialect)
    title = title_of(plan)
    texts = {
        script_name(machine.name): script(deployment, machine, dialect, title)
        for machine in deployment.machines
    }
    texts[SETTINGS] = settings(plan, deployment, dialect, title)
    texts["README.txt"] = readme(deployment, dialect, title)
    return texts
