"""Degrees of parallelism worth a look on some number of devices. Engines layer."""

from __future__ import annotations

from collections.abc import Iterator

from planner.engines.grid import Place


def divisors(number: int) -> tuple[int, ...]:
    """Of a number, ascending."""
    return tuple(x for x in range(1, number + 1) if number % x == 0)


def tensor_and_pipeline(gpus: int, place: Place, depth: int) -> Iterator[tuple[int, int]]:
    """Every split of `gpus` devices into stages of as many ranks; ascending in ranks."""
    for ranks in divisors(gpus):
        if whole(ranks, place) and gpus // ranks <= depth:
            yield ranks, gpus // ranks


def whole(ranks: int, place: Place) -> bool:
    """Whether groups of `ranks` devices fill machines, or machines are filled by groups."""
    return place.gpus_per_machine % ranks == 0 or ranks % place.gpus_per_machine == 0


def powers_of_two(most: int) -> Iterator[int]:
    """2, 4, 8, and so on up to `most`."""
    each = 2
    while each <= most:
        yield each
        each *= 2
