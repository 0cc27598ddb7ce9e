"""What all fuzzers share: the command line, the run over inputs, and what holds of every one."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable

from planner.errors import PlannerError

SLOWEST = 1.0  # seconds of processor time of one input


def main(fuzz: Callable[[int, int], Counter[str]], about: str | None, inputs: int) -> None:
    """Runs `fuzz` on so many inputs of a seed and prints how many came to which end."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--inputs", type=int, default=inputs)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for end, count in sorted(fuzz(arguments.inputs, arguments.seed).items()):
        print(f"{end}: {count:,}")


def ends_of(one: Callable[[random.Random, int], str], inputs: int, seed: int) -> Counter[str]:
    """Calls `one` for each input's number; how many came to which end, the same for a seed."""
    choice = random.Random(seed)
    ends: Counter[str] = Counter()
    for number in range(inputs):
        start = time.process_time()
        ends[one(choice, number)] += 1
        assert time.process_time() - start < SLOWEST, (seed, number)
    return ends


def hinted(error: PlannerError, end: str) -> str:
    """`end`, for a refusal that says what to do."""
    assert error.hint, error
    return end
