"""Runs Python and tells the most memory it had."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tests.acceptance.command_line import TIME_LIMIT, environment

_MEASURE = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]])
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts it from a small process, for a child's peak is at least that of who started it."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str
    memory: int
    """Most it had, bytes."""


def ended(arguments: Sequence[str]) -> Ended:
    """Runs Python with `arguments`, without a network, and waits for it."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _MEASURE, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment() | {"HF_HUB_OFFLINE": "1"},
        timeout=TIME_LIMIT,
        text=True,
        check=False,
    )
    out, _, peak = done.stdout.rstrip("\n").rpartition("\n")
    unit = 1 if sys.platform == "darwin" else 1024
    return Ended(done.returncode, out, done.stderr, int(peak) * unit)
