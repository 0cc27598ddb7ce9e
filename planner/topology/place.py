"""Puts the parts of a `topo` table onto sockets, host bridges and PCIe switches.

Topology layer. The table says how far each two parts are apart; where that describes a tree (as
real machines are), the tree is found and says the same of every pair again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from planner.errors import FileError
from planner.topology.importers.seen import PCIE_KINDS, Branch, Dump, PcieKind
from planner.topology.kinds import groups, pcie_kind

_Distances = Mapping[tuple[str, str], str]


@dataclass
class _Tree:
    """Branches in the making."""

    branches: list[Branch] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, parent: str, model: str = "") -> str:
        """A new vertex above devices; its name is its kind and number."""
        stem = {"pcie-switch": "pcie"}.get(kind, kind)
        number = self.counts.get(stem, 0)
        self.counts[stem] = number + 1
        name = f"{stem}{number}"
        self.branches.append(
            Branch.model_validate({"name": name, "parent": parent, "kind": kind, "model": model})
        )
        return name

    def hang(self, part: str, parent: str) -> None:
        """A device or an adapter below `parent`."""
        kind = "gpu" if part.startswith("GPU") else "nic"
        self.branches.append(Branch.model_validate({"name": part, "parent": parent, "kind": kind}))


def place(dump: Dump, where: str) -> tuple[tuple[Branch, ...], tuple[str, ...]]:
    """The tree that the PCIe cells of `dump` describe, and what had to be taken for granted.

    Raises:
        FileError: the cells describe no tree.
    """
    names = [device.label for device in dump.devices]
    names += [adapter.label for adapter in dump.adapters]
    distances = _distances(dump)
    places = {device.label: device.place for device in dump.devices}
    tree = _Tree()
    nodes: list[str] = []
    for members in _sockets(names, distances, places):
        titles = dict.fromkeys(places[name] for name in members if places.get(name))
        nodes += titles
        socket = tree.add("socket", "", " ".join(titles))
        for below in _near(members, distances, "PHB"):
            _below_root(tree, tree.add("root", socket), below, distances)
    odd = _check(tree.branches, distances, where)
    return tuple(tree.branches), (*_findings(dump, distances), *_torn(nodes), *odd)


def _distances(dump: Dump) -> _Distances:
    return {
        key: pair.kind
        for pair in dump.pairs
        if pair.kind in PCIE_KINDS
        for key in ((pair.one, pair.other), (pair.other, pair.one))
    }


def _near(names: Sequence[str], distances: _Distances, most: PcieKind) -> list[tuple[str, ...]]:
    """`names` in groups within which distances of at most `most` lead from part to part."""
    near = PCIE_KINDS[: PCIE_KINDS.index(most) + 1]
    inside = set(names)
    joined = [
        (one, other)
        for (one, other), kind in distances.items()
        if kind in near and one in inside and other in inside
    ]
    return groups(names, joined)


def _sockets(
    names: Sequence[str], distances: _Distances, places: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """`names` by socket: what is NODE apart or nearer, and what nothing printed keeps apart.

    Two parts are kept apart by SYS between them, or by different NUMA affinities.
    """
    sockets: list[list[str]] = []
    for unit in _near(names, distances, "NODE"):
        home = next((s for s in sockets if not _apart(s, unit, distances, places)), None)
        if home is None:
            sockets.append(list(unit))
        else:
            home.extend(unit)
    return [tuple(sorted(socket, key=names.index)) for socket in sockets]


def _apart(
    some: Iterable[str], others: Iterable[str], distances: _Distances, places: Mapping[str, str]
) -> bool:
    some, others = tuple(some), tuple(others)
    if any(distances.get((one, other)) == "SYS" for one in some for other in others):
        return True
    mine = {places[name] for name in some if places.get(name)}
    theirs = {places[name] for name in others if places.get(name)}
    return bool(mine and theirs) and not mine & theirs


def _below_root(tree: _Tree, root: str, members: Sequence[str], distances: _Distances) -> None:
    """Switches and parts below one host bridge."""
    for group in _near(members, distances, "PXB"):
        if len(group) == 1:
            tree.hang(group[0], root)
            continue
        leaves = _near(group, distances, "PIX")
        upper = tree.add("pcie-switch", root)
        for leaf in leaves:
            switch = upper if len(leaves) == 1 else tree.add("pcie-switch", upper)
            for part in leaf:
                tree.hang(part, switch)


def _check(branches: Sequence[Branch], distances: _Distances, where: str) -> list[str]:
    """Adapters that the tree puts nearer or farther than the table does.

    Raises:
        FileError: it does so with two devices.
    """
    odd: dict[str, None] = {}
    above = {branch.name: branch.parent for branch in branches if branch.parent}
    kinds = {branch.name: branch.kind for branch in branches}
    for (one, other), printed in distances.items():
        derived = pcie_kind(above, kinds, one, other)
        if derived != printed and not (one.startswith("GPU") and other.startswith("GPU")):
            odd.setdefault(one if one.startswith("NIC") else other)
        elif derived != printed:
            raise FileError(
                f"{where}: {one} to {other} is {printed}, but by the rest of the table it is "
                f"{derived}",
                hint="check that the table is whole and of one machine",
            )
    if not odd:
        return []
    return [f"{_some([*odd])}: the table puts them at distances that no tree of PCIe has"]


def _findings(dump: Dump, distances: _Distances) -> tuple[str, ...]:
    """What the tree takes for granted."""
    labels = [device.label for device in dump.devices]
    hidden = [
        one
        for one in labels
        if len(labels) > 1 and not any((one, other) in distances for other in labels)
    ]
    notes = []
    if hidden and dump.links_known:
        notes.append(
            f"{_some(hidden)}: the place on PCIe among the devices is not printed, because other "
            "links are; each is taken to have a host bridge of its own"
        )
    if len(labels) > 1 and not any(device.place for device in dump.devices) and hidden:
        notes.append("NUMA nodes are not printed; devices are taken to be on one")
    return tuple(notes)


def _torn(nodes: Sequence[str]) -> list[str]:
    """NUMA nodes with parts that the table puts SYS apart."""
    torn = sorted({node for node in nodes if nodes.count(node) > 1})
    if not torn:
        return []
    return [
        f"{', '.join(torn)}: the table has SYS between parts of one node, as in virtual machines; "
        "they are taken to be on sockets of their own"
    ]


def _some(labels: Sequence[str]) -> str:
    names = [label.lower() for label in labels]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]}"
