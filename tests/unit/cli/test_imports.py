"""Importing the command line is cheap: help must come at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "gguf",
    "huggingface_hub",
    "jinja2",
    "networkx",
    "numpy",
    "ortools",
    "pandas",
    "pydantic",
    "rich",
}
PLANNER = {
    "planner",
    "planner.errors",
    "planner.cli",
    *(
        f"planner.cli.{name}"
        for name in (
            "app",
            "catalog",
            "catalogs",
            "evaluate",
            "exits",
            "export",
            "facts",
            "files",
            "inventory",
            "models",
            "options",
            "output",
            "parsing",
            "progress",
            "requirements",
            "solve",
            "tables",
            "verify",
        )
    ),
}


def loaded_by(code):
    listing = "import sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("module", ["planner.cli", "planner.cli.app"])
def test_importing_the_command_line_loads_typer_and_the_standard_library_only(module):
    loaded = loaded_by(f"import {module}")
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert {name for name in loaded if name.partition(".")[0] == "planner"} <= PLANNER


def test_help_needs_no_more_than_rich():
    loaded = loaded_by("from planner.cli import main\nmain(['--help'])")
    assert not {name.partition(".")[0] for name in loaded} & (HEAVY - {"rich"})
