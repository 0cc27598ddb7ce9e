"""Every fuzzer, whole: `python -m tests.fuzz.all` reads 250,000 inputs, in some minutes.

Ends with the first fault, its seed and the number of the input; otherwise prints how many inputs
came to which end.
"""

from __future__ import annotations

import time

from tests.fuzz import fuzz_config, fuzz_gguf, fuzz_network, fuzz_safetensors

FUZZERS = (fuzz_gguf, fuzz_safetensors, fuzz_config, fuzz_network)


def main() -> None:
    total = 0
    for fuzzer in FUZZERS:
        start = time.monotonic()
        ends = fuzzer.fuzz(fuzzer.INPUTS, seed=0)
        total += ends.total()
        print(f"{fuzzer.__name__}: {ends.total():,} inputs, {time.monotonic() - start:.0f} s")
        for end, count in sorted(ends.items()):
            print(f"  {end}: {count:,}")
    print(f"{total:,} inputs in all")


if __name__ == "__main__":
    main()
