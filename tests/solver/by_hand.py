"""Problems where a mistake shows that random ones hide: slots and devices in round MiB."""

from __future__ import annotations

from collections.abc import Callable

from planner.solver.problem import MODES, Joint, Kind, Limits, Option, Problem
from tests.solver.instances import MIB, Graph


def exact_fit(*padded: int) -> Problem:
    """Three devices full to the byte, the last one with the output alone; padded slots as named."""
    return _problem((500, 500, 500, 500, 1100), {1100: 1000}, padded=padded)


def too_many_small() -> Problem:
    """A large device and one small one work; two small ones are faster on paper, but do not fit.

    The second could only hold the first block, and the first device's inputs leave no room for it.
    """
    return _problem((50, 500, 500, 500, 500, 100), {2300: 1000, 150: 10}, inputs=100)


def too_much_in_all() -> Problem:
    """Three devices could take the slots by number and by large ones, but not all their bytes."""
    return _problem((100, 100, 100, 100, 900, 900, 900, 100), {1100: 1000})


BY_HAND: dict[str, Callable[[], Problem]] = {
    "exact fit": exact_fit,
    "a byte too full with padding": lambda: exact_fit(2),
    "too many small devices": too_many_small,
    "too much in all": too_much_in_all,
}


def _problem(
    sizes: tuple[int, ...], nodes: dict[int, int], *, inputs: int = 0, padded: tuple[int, ...] = ()
) -> Problem:
    """Blocks and an output on one-device nodes, given as {MiB: nanoseconds per slot}."""
    slots = len(sizes)
    before = tuple(sum(slot < stop for slot in padded) for stop in range(slots + 1))
    times = [tuple(range(0, (slots + 1) * time, time)) for time in nodes.values()]
    return Problem(
        slots=slots,
        need_bytes=Graph(
            sizes=tuple(size * MIB for size in sizes),
            blocks=slots - 1,
            compute=dict.fromkeys(MODES, 100 * MIB),
            inputs=dict.fromkeys(MODES, inputs * MIB),
            tiny=0,
        ),
        padding=before,
        sizes=tuple(size * MIB for size in sizes),
        kinds=tuple(
            Kind(
                gpu=f"{capacity} MiB",
                capacity=capacity * MIB,
                padded=True,
                head_bytes=dict.fromkeys(MODES, 0),
                best=line,
                floor=line,
            )
            for capacity, line in zip(nodes, times, strict=True)
        ),
        options=tuple(_option(number) for number in range(len(nodes))),
        joints=(Joint(name="wire", best=1, floor=1, switch=0, direct=3, ports=3),),
        limits=Limits(budget=None, floor=None, machines=3, devices=15, mixed_families=False),
        rpc_pipelines=True,
    )


def _option(number: int) -> Option:
    return Option(
        name=f"node-{number}",
        kind=number,
        gpus=1,
        machines=1,
        price=100,
        family="cuda",
        networks=("wire",),
        adapters=(0,),
        inner_best=0,
        inner_floor=0,
        stock=3,
    )
