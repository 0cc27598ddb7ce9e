"""How much work the search over grids is: CPU seconds of whole processes, medians.

Run with `pytest -m benchmark -s`. Asserts nothing about time: machines differ and are busy.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys

import pytest

from tests.acceptance.command_line import environment

RUNS = 5
CASES = {
    "kimi-k2 in FP8, vLLM": "kimi-k2 --quant FP8 --context 131072",
    "kimi-k2 in FP8, SGLang": "kimi-k2 --quant FP8 --context 131072 --engine sglang",
    "gpt-oss-120b, 16 users": "gpt-oss-120b --quant MXFP4 --engine vllm --concurrency 16",
    "rented": "qwen3-30b-a3b --quant FP8 --budget-per-hour 20",
}

pytestmark = pytest.mark.benchmark


def seconds(line: str) -> float:
    """CPU time of one process and its children, start and imports included."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "planner", *line.split(), "--json"],
        check=True,
        capture_output=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


@pytest.mark.parametrize("name", CASES)
def test_cpu_time(name: str) -> None:
    times = [seconds(CASES[name]) for _ in range(RUNS)]
    print(
        f"\n{name}: median {statistics.median(times):.2f} CPU s of {RUNS} runs "
        f"({min(times):.2f} to {max(times):.2f}); "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
