"""Runs the command line as a person does: a process of its own, in a folder of its own."""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT = 120
"""Seconds after which a process is given up; an ordinary one takes under 4."""


class Ran(NamedTuple):
    """What a finished process left."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """Its JSON answer."""
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer


def environment() -> dict[str, str]:
    """Ours without settings of the planner, so that only the arguments count."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLANNER_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def plan(line: str, *more: str) -> Ran:
    """`plan LINE`, in a new process; `more` are arguments that need no quoting."""
    done = subprocess.run(
        [sys.executable, "-m", "planner", *shlex.split(line), *more],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@functools.cache
def first_run(line: str) -> Ran:
    """`plan LINE --json`, run once however many tests look at it."""
    return plan(line, "--json")
