"""Turns a printed tree of PCI bridges into sockets, host bridges and real switches."""

from __future__ import annotations

from collections.abc import Sequence

from planner.topology.importers.seen import Branch


def pruned(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """`branches` that lead to a device or an adapter, without bridges that only pass on.

    A bridge with one thing below it is a port, not a switch; the thing moves up. Generation and
    lanes are then the lesser of both. Of rates that the dump prints the greater is kept: they are
    what runs at present, and an idle port has one of its own.
    """
    kept = _leading_somewhere(branches)
    above = {branch.name: branch.parent for branch in kept}
    below: dict[str, int] = {}
    for parent in above.values():
        below[parent] = below.get(parent, 0) + 1
    by_name = {branch.name: branch for branch in kept}
    passing = {b.name for b in kept if b.kind == "pcie-switch" and below.get(b.name) == 1}
    found = []
    for branch in kept:
        if branch.name in passing:
            continue
        link = branch
        while link.parent in passing:
            link = _joined(link, by_name[link.parent])
        found.append(link)
    return tuple(found)


def _leading_somewhere(branches: Sequence[Branch]) -> list[Branch]:
    above = {branch.name: branch.parent for branch in branches}
    wanted: set[str] = set()
    for branch in branches:
        name = branch.name if branch.kind in ("gpu", "nic") else ""
        while name and name not in wanted:
            wanted.add(name)
            name = above.get(name, "")
    return [branch for branch in branches if branch.name in wanted]


def _joined(link: Branch, bridge: Branch) -> Branch:
    """`link` as it is once the bridge above it is gone."""
    generations = [g for g in (link.generation, bridge.generation) if g]
    widths = [w for w in (link.width, bridge.width) if w]
    rates = [r for r in (link.bandwidth, bridge.bandwidth) if r]
    return link.model_copy(
        update={
            "parent": bridge.parent,
            "generation": min(generations) if generations else None,
            "width": min(widths) if widths else None,
            "bandwidth": max(rates) if rates else None,
        }
    )
