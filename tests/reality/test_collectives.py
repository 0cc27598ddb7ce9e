"""Collectives measured alone against the link graph: with a system's own rows, and without them.

Without: the rows of other devices on the same kind of link where there are some, else data sheets
and what kernels reach over other links.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import cast

import pytest

from planner.catalog import load_catalog
from planner.topology import collectives
from planner.topology.collectives import bus_bandwidth, joined, send
from planner.topology.costs import Curve
from planner.topology.groups import best_groups
from planner.topology.machines import node_topology
from planner.topology.measured import Operation, Software
from planner.topology.parts import Part, Topology, Wire
from tests.reality.tables import table

CATALOG = load_catalog()
NODES = {
    "a100-sxm-80": "coreweave-8xa100",
    "h100-sxm-80": "dgx-h100",
    "h200-sxm-141": "dgx-h200",
    "b200-sxm-180": "dgx-b200",
    "b300-sxm-288": "dgx-b300",
    "gb200-186": "gb200-nvl72",
    "gb300-288": "gb300-nvl72",
    "l40s-48": "l40s-x8",
    "rtx-pro-6000-se-96": "rtx-pro-6000-x8",
    "arc-pro-b60-24": "arc-pro-b60-x4",
}
"""A machine of each measured device."""
ENGINES = ("vllm", "sglang")
PREDICTED = {
    ("a100-sxm-80", 8),
    ("h100-sxm-80", 8),
    ("b200-sxm-180", 8),
    ("rtx-pro-6000-se-96", 2),
    ("rtx-pro-6000-se-96", 4),
    ("rtx-pro-6000-se-96", 8),
    ("l40s-48", 2),
}
"""What must come out without the system's own rows. Four and eight L40S do not: their host moves
4 and 2 GB/s where others move 20, and nothing published says why."""


def points(row: dict[str, str]) -> list[tuple[float, float]]:
    """Sizes and seconds."""
    ranks, largest = int(row["ranks"]), float(row["largest"])
    factor = (2 if row["operation"] == "all-reduce" else 1) * (ranks - 1) / ranks
    last = factor * largest / (float(row["bus_gb_s"]) * 1e9)
    times = [float(row[name]) * 1e-6 for name in ("smallest_us", "us_16k", "us_1m")]
    return list(zip((0.0, 16384.0, 1048576.0, largest), (*times, last), strict=True))


@functools.cache
def machine(gpu: str) -> Topology:
    return node_topology(CATALOG, CATALOG.node(NODES[gpu]))


def unnamed(topology: Topology) -> Topology:
    """The same links without their catalog rows: data sheets alone."""
    wires = tuple(wire.model_copy(update={"link": ""}) for wire in topology.wires)
    return topology.model_copy(update={"wires": wires})


def curve(
    row: dict[str, str], *, software: Software | None, own: bool, bare: bool = False
) -> Curve:
    gpu, ranks = row["gpu"], int(row["ranks"])
    topology = unnamed(machine(gpu)) if bare else machine(gpu)
    group = best_groups(machine(gpu), ranks, 1).groups[0]
    without = frozenset() if own else frozenset((gpu,))
    operation = cast(Operation, row["operation"])
    found = joined(operation, topology, group, software, without)
    moved = ranks / (ranks - 1) if operation == "all-to-all" else 1.0
    return found.curve.sized(1 / moved)


def possible(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of no more devices than our machine of them has."""
    return [row for row in rows if int(row["ranks"]) <= len(machine(row["gpu"]).gpus)]


def test_with_its_own_rows_every_system_is_met_at_every_size() -> None:
    worst: dict[str, float] = {}
    rows = possible(table("collectives.csv"))
    for row in rows:
        found = curve(row, software=cast(Software, row["software"]), own=True)
        for size, seconds in points(row):
            error = abs(found.seconds(size) / seconds - 1)
            worst[row["gpu"]] = max(worst.get(row["gpu"], 0.0), error)
    print(f"\n\nCollectives with own rows, {len(rows)} of {len(table('collectives.csv'))} rows:")
    for gpu, error in worst.items():
        print(f"  {gpu:20} worst {error:.1%}")
    assert len(rows) == 181
    assert max(worst.values()) <= 0.15


def test_the_mean_of_both_engines_is_near_each() -> None:
    errors = []
    for row in possible(table("collectives.csv")):
        if row["software"] in ENGINES and not row["gpu"].startswith("gb"):
            found = curve(row, software=None, own=True)
            errors += [abs(found.seconds(size) / seconds - 1) for size, seconds in points(row)]
    errors.sort()
    print(f"\n  mean of the engines: {errors[len(errors) // 2]:.1%} median, {errors[-1]:.1%} worst")
    assert errors[len(errors) // 2] <= 0.02
    assert errors[int(0.9 * len(errors))] <= 0.15


def engine_rows() -> dict[tuple[str, int], list[dict[str, str]]]:
    found: dict[tuple[str, int], list[dict[str, str]]] = {}
    for row in possible(table("collectives.csv")):
        if row["software"] in ENGINES:
            found.setdefault((row["gpu"], int(row["ranks"])), []).append(row)
    return found


def is_alone(gpu: str) -> bool:
    """Whether no other measured device shares its link."""
    links = {row.gpu: row.link for row in CATALOG.collectives.values()}
    return list(links.values()).count(links[gpu]) == 1


def errors_without(rows: list[dict[str, str]], *, bare: bool) -> list[float]:
    """Of the prediction without own rows against the mean of the engines, at each size."""
    found = curve(rows[0], software=None, own=False, bare=bare)
    errors = []
    for each in zip(*(points(row) for row in rows), strict=True):
        mean = math.exp(sum(math.log(seconds) for _, seconds in each) / len(each))
        errors.append(found.seconds(each[0][0]) / mean - 1)
    return errors


@pytest.mark.parametrize("bare", [False, True], ids=["others' rows", "data sheets alone"])
def test_without_its_own_rows(bare: bool) -> None:
    print(f"\n\nAll-reduce without own rows, {'data sheets alone' if bare else 'others allowed'}:")
    for (gpu, ranks), rows in engine_rows().items():
        errors = errors_without(rows, bare=bare)
        print(f"  {gpu:20} {ranks} " + " ".join(f"{error:+6.0%}" for error in errors))
        if (gpu, ranks) in PREDICTED and is_alone(gpu) == bare:
            assert max(map(abs, errors)) <= 0.30, (gpu, ranks)


def test_ranges_cover_hosts_that_are_slower_than_others() -> None:
    for ranks in (2, 4, 8):
        group = best_groups(machine("l40s-48"), ranks, 1).groups[0]
        found = joined("all-reduce", unnamed(machine("l40s-48")), group)
        for row in engine_rows()["l40s-48", ranks]:
            for size, seconds in points(row)[2:]:
                best = found.curve.seconds(size)
                assert best / 2 <= seconds <= best * found.slower, (ranks, size)


def pair(link: str, bandwidth: float, named: bool) -> Topology:
    """Two machines of one device each, joined by a cable."""
    parts = [
        Part(name=f"{number}.{kind}0", kind=kind, machine=number)  # type: ignore[arg-type]
        for number in range(2)
        for kind in ("gpu", "nic")
    ]
    wires = [
        Wire(one=f"{number}.gpu0", other=f"{number}.nic0", medium="c2c", bandwidth=200e9)
        for number in range(2)
    ]
    cable = Wire(
        one="0.nic0",
        other="1.nic0",
        medium="network",
        bandwidth=bandwidth,
        link=link if named else "",
    )
    return Topology(title=link, parts=tuple(parts), wires=(*wires, cable))


def rate_of_send(where: str, *, named: bool) -> float:
    row = CATALOG.links[where]
    topology = pair(where, row.bandwidth_per_direction, named)
    tcp = where == "thunderbolt-5"
    return 1e-9 / send(topology, "0.gpu0", "1.gpu0", tcp=tcp and not named).per_byte


def test_sends_over_networks() -> None:
    print("\n\nSends over networks, GB/s: published, with that row, without it")
    rows = [row for row in table("published_links.csv") if row["what"] == "send"]
    assert len(rows) == 5
    for row in rows:
        figure = float(row["figure"])
        own, without = (rate_of_send(row["where"], named=named) for named in (True, False))
        print(f"  {row['where']:20} {figure:5.1f} {own:5.1f} {without:5.1f}")
        assert own == pytest.approx(figure, rel=0.15)
        assert figure / without == pytest.approx(1.0, abs=0.30)


def test_all_reduces_others_published() -> None:
    print("\n\nAll-reduces others published: figure, ours")
    for row in table("published_links.csv"):
        if row["what"] != "all-reduce":
            continue
        topology = node_topology(CATALOG, CATALOG.node(row["where"]))
        ranks, figure = int(row["ranks"]), float(row["figure"])
        group = [part.name for part in topology.gpus][:ranks]
        software: Software | None = "nccl" if row["where"] == "dgx-h200" else None
        found = collectives.all_reduce(topology, group, software)
        ours = found.seconds(float(row["size"])) * 1e6
        if row["unit"] == "GB/s":
            ours = bus_bandwidth(found, ranks) / 1e9
        print(f"  {row['where']:20} {ranks} {figure:6.1f} {ours:6.1f} {row['unit']}")
        assert ours == pytest.approx(figure, rel=0.20)
