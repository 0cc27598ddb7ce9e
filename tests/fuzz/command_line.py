"""The command line that every fuzzer shares."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable


def main(fuzz: Callable[[int, int], Counter[str]], about: str | None, inputs: int) -> None:
    """Runs `fuzz` on so many inputs of a seed and prints how many came to which end."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--inputs", type=int, default=inputs)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for end, count in sorted(fuzz(arguments.inputs, arguments.seed).items()):
        print(f"{end}: {count:,}")
