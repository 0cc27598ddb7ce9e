"""How long a person waits: whole processes, medians, and the ratio to what was aimed at.

Run with `pytest -m benchmark -s`. Asserts nothing about time: machines differ and are busy.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time

import pytest

from tests.acceptance.command_line import environment

RUNS = 7
CASES = {
    "plan --help": (["--help"], 0.5),
    "the default job": (["kimi-k2", "--quant", "Q4_K_M", "--budget", "300000"], 2.0),
}
"""Arguments, and seconds aimed at on two quiet cores."""

pytestmark = pytest.mark.benchmark


def seconds(arguments: list[str]) -> float:
    """Wall time of one process, its start and imports included."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "planner", *arguments],
        check=True,
        capture_output=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


@pytest.mark.parametrize("name", CASES)
def test_wall_time(name: str) -> None:
    arguments, target = CASES[name]
    first = seconds(arguments)
    times = [seconds(arguments) for _ in range(RUNS)]
    median = statistics.median(times)
    load = os.getloadavg()[0]
    print(
        f"\n{name}: median {median:.2f} s of {RUNS} runs "
        f"({min(times):.2f} to {max(times):.2f}; first {first:.2f}), "
        f"{median / target:.2f} x the {target} s aimed at; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}"
    )
