"""Random small problems in the shape of real ones: few layers, few node types, tight limits.

Weights are hundreds of MiB with odd bytes, so that rounding to MiB matters; needs grow with the
window as the engine's do: weights, a graph per device that computes, extras on the first device.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from random import Random

from planner.solver.problem import Joint, Kind, Limits, Mode, Option, Problem

MIB = 2**20
PLENTY = 10_000


@dataclass(frozen=True, eq=False)
class Graph:
    """Bytes of a window of slots; callable like the engine's memory model."""

    sizes: tuple[int, ...]
    blocks: int
    """Slots [0, blocks) are transformer blocks; after them MTP blocks without bytes, the output."""
    compute: dict[Mode, int]
    inputs: dict[Mode, int]
    tiny: int
    scale: int = 1

    def __call__(self, first: int, stop: int, mode: Mode) -> int:
        """Weights and cache, the graph, and the first device's inputs."""
        graph = self.compute[mode] if first < min(stop, self.blocks) else self.tiny
        inputs = self.inputs[mode] if first == 0 else 0
        return (sum(self.sizes[first:stop]) + graph + inputs) * self.scale


def draw(seed: int) -> Problem:
    """The problem number `seed`."""
    random = Random(seed)
    sizes, blocks = _sizes(random)
    graph = _graph(random, sizes, blocks)
    kinds = tuple(_kind(random, graph, number) for number in range(random.choice((1, 2, 3, 3))))
    joints = tuple(_joint(random, name) for name in ("eth", "ib")[: random.randint(1, 2)])
    unit = random.choice((1, 1, 10_000))
    noise = random.choice((0.03, 0.03, 0.03, 0.4))  # near-fair prices leave room for mixed optima
    options = tuple(
        _option(random, graph, kinds, joints, name, unit, noise)
        for name in ("alpha", "beta", "gamma")[: random.choice((1, 2, 3, 3, 3, 3))]
    )
    return Problem(
        slots=len(sizes),
        need_bytes=graph,
        padding=tuple(accumulate((random.randrange(3 * MIB) for _ in sizes), initial=0)),
        sizes=sizes,
        kinds=kinds,
        options=options,
        joints=joints,
        limits=_limits(random, graph, kinds, options),
        rpc_pipelines=random.random() < 0.6,
    )


def _sizes(random: Random) -> tuple[tuple[int, ...], int]:
    blocks = random.randint(3, 8)
    base = random.randint(200, 900) * MIB + random.randrange(MIB)
    shape = random.random()
    if shape < 0.25:  # all alike
        sizes = [base] * blocks
    elif shape < 0.55:  # dense prefix
        prefix = random.randint(1, 2)
        sizes = [int(base * random.uniform(0.2, 0.7))] * prefix + [base] * (blocks - prefix)
    elif shape < 0.8:  # two kinds by turns, as mixes that give some layers more bits
        other = int(base * random.uniform(1.05, 1.9))
        sizes = [random.choice((base, other)) for _ in range(blocks)]
    else:
        sizes = [int(base * random.uniform(0.5, 2.0)) for _ in range(blocks)]
    unloaded = [0] if random.random() < 0.15 else []
    return (*sizes, *unloaded, int(base * random.uniform(0.1, 0.9))), blocks


def _graph(random: Random, sizes: tuple[int, ...], blocks: int) -> Graph:
    compute = random.randint(20, 250) * MIB + random.randrange(MIB)
    inputs = random.randint(0, 60) * MIB
    serial = int(compute * random.uniform(0.6, 1.0))
    return Graph(
        sizes=sizes,
        blocks=blocks,
        compute={"pipelined": compute, "serial": serial, "single": serial // 2},
        inputs={"pipelined": 4 * inputs, "serial": inputs, "single": inputs},
        tiny=random.randint(0, 8) * MIB,
    )


def _kind(random: Random, graph: Graph, number: int) -> Kind:
    overhead = graph.compute["pipelined"] + graph.inputs["pipelined"] // 2
    room = max(graph.sizes) * random.choice(
        (0.7, 1.2, 1.2, 1.6, 1.6, 2.1, 2.1, 2.6, 2.6, 3.2, 3.9, 4.5)
    )
    unified = random.random() < 0.25
    rate = random.uniform(0.05, 2.0)
    uneven = random.choice((0.0, 0.0, 0.5))  # some devices are better at some layers
    times = [
        int(random.randint(10, 60) * 1_000 + size * rate * random.uniform(1 - uneven, 1 + uneven))
        if size
        else 0
        for size in graph.sizes
    ]
    slower = random.choice((0.0, 0.0, 0.3, 1.0))
    slow = [int(time * random.uniform(1, 1 + slower)) for time in times]
    head = random.randint(50, 400) * MIB if unified else 0
    return Kind(
        gpu=f"gpu-{number}",
        capacity=int(room) + int(overhead * random.uniform(0.9, 1.2)) + random.randrange(MIB),
        padded=random.random() < 0.5,
        head_bytes={"single": head // 2, "serial": head, "pipelined": head},
        best=tuple(accumulate(times, initial=0)),
        floor=tuple(accumulate(slow, initial=0)),
    )


def _joint(random: Random, name: str) -> Joint:
    direct = random.randint(1, 3)
    hop = random.randint(1, 30) * 1_000_000
    return Joint(
        name=name,
        best=hop,
        floor=hop if random.random() < 0.6 else int(hop * random.uniform(1, 2)),
        switch=random.choice((0, 500, 3_000)),
        direct=direct,
        ports=random.choice((max(direct, 2), direct + 1, 8, 8)),
    )


def _option(
    random: Random,
    graph: Graph,
    kinds: tuple[Kind, ...],
    joints: tuple[Joint, ...],
    name: str,
    unit: int,
    noise: float,
) -> Option:
    number = random.randrange(len(kinds))
    gpus = random.choice((1, 1, 1, 1, 2, 2, 3, 4))
    machines = 2 if gpus % 2 == 0 and random.random() < 0.25 else 1
    worth = gpus * kinds[number].capacity / sum(graph.sizes)
    if noise < 0.1:  # fast devices are dear
        worth *= (sum(graph.sizes) / kinds[number].best[-1]) ** random.uniform(0, 0.8)
    inner = random.randint(1, 30) * (1_000_000 if machines == 2 else 10_000)
    networks = tuple(joint.name for joint in joints if noise < 0.1 or random.random() < 0.8)
    return Option(
        name=name,
        kind=number,
        gpus=gpus,
        machines=machines,
        price=int(unit * 10_000 * worth * random.uniform(1 - noise, 1 + noise)) + 1,
        family=random.choice(("cuda", "cuda", "cuda", "cuda", "rocm")),
        networks=networks,
        adapters=tuple(unit * machines * random.choice((0, 20, 20, 200)) for _ in networks),
        inner_best=inner,
        inner_floor=int(inner * random.choice((1, 1, 1.5))),
        stock=random.choice((PLENTY,) * 8 + (3, 2, 2, 1, 1, 0)),
    )


def _limits(
    random: Random, graph: Graph, kinds: tuple[Kind, ...], options: tuple[Option, ...]
) -> Limits:
    worth = [
        option.price * max(sum(graph.sizes) / (option.gpus * kinds[option.kind].capacity), 1)
        for option in options
    ]
    times = [kind.floor[-1] for kind in kinds]
    budget = int(min(worth) * random.uniform(1.3, 4))
    speed = int(random.uniform(min(times), max(times) * 1.7) * random.uniform(0.9, 1.6))
    return Limits(
        budget=budget if random.random() < 0.85 else None,
        floor=speed if random.random() < 0.35 else None,
        best=int(speed * random.uniform(0.7, 1.2)) if random.random() < 0.1 else None,
        machines=random.choice((2, 4, 5, 6, 7)),
        devices=random.choice((15, 15, 15, 15, 6, 5, 4, 3)),
        mixed_families=random.random() < 0.6,
    )
