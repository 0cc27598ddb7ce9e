"""The link graph of a topology and the paths between its devices. Topology layer.

The graph library is loaded when a graph is first asked for: it is slow to load.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.catalog.schema import Path as Distance
from planner.topology.parts import Part, Topology

if TYPE_CHECKING:
    import networkx as nx

_FABRICS = ("nvlink", "xgmi", "c2c")
DISTANCES: tuple[Distance, ...] = ("direct", "switch", "root", "socket", "network")
"""How far two devices are apart, nearest first."""


class Edge(NamedTuple):
    """One direction of a wire."""

    source: str
    target: str


class Way(NamedTuple):
    """How one device reaches another."""

    edges: tuple[Edge, ...]
    bandwidth: float
    """Bytes per second of its narrowest wire."""
    latency: float
    """Seconds one way."""
    distance: Distance


def graph_of(topology: Topology) -> nx.Graph[str]:
    """The topology as a networkx graph; vertices are part names.

    Vertices have `part`; edges `bandwidth` (bytes/s, wires in parallel summed), `latency`
    (seconds), `medium` and `link` (row of the link catalog).
    """
    import networkx

    graph: nx.Graph[str] = networkx.Graph()
    for part in topology.parts:
        graph.add_node(part.name, part=part)
    for wire in topology.wires:
        if graph.has_edge(wire.one, wire.other):
            graph.edges[wire.one, wire.other]["bandwidth"] += wire.bandwidth
        else:
            graph.add_edge(
                wire.one,
                wire.other,
                bandwidth=wire.bandwidth,
                latency=wire.latency,
                medium=wire.medium,
                link=wire.link,
            )
    return graph


class Graph:
    """A topology with its paths found, each when it is first asked for."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.parts: Mapping[str, Part] = {part.name: part for part in topology.parts}
        self.gpus = tuple(part.name for part in topology.gpus)
        self.capacities: dict[Edge, float] = {}
        self.media: dict[Edge, str] = {}
        self.rows: dict[Edge, str] = {}
        self._whole = graph_of(topology)
        for one, other, fields in self._whole.edges(data=True):
            for edge in (Edge(one, other), Edge(other, one)):
                self.capacities[edge] = fields["bandwidth"]
                self.media[edge] = fields["medium"]
                self.rows[edge] = fields["link"]
        self._linked: dict[str, list[str]] = {
            name: [n for n in self._whole[name] if self.media[Edge(name, n)] in _FABRICS]
            for name in self._whole
        }
        self._ways: dict[tuple[str, str], Way | None] = {}
        self._inner: dict[int, Any] = {}

    def way(self, one: str, other: str) -> Way:
        """The widest path from one device to another, of these the one with least latency.

        Links of their own (NVLink, xGMI) go first, as engines do it; devices pass nothing on, and
        devices of one machine use what is inside it where they can.
        """
        found = self.way_if_any(one, other)
        assert found is not None, f"nothing links {one} and {other}"
        return found

    def way_if_any(self, one: str, other: str) -> Way | None:
        """`way`, or None where nothing links the two."""
        if (one, other) not in self._ways:
            self._find(one, other)
        return self._ways[one, other]

    def ways(self, group: Iterable[str]) -> dict[tuple[str, str], Way]:
        """From every device of a group to every other."""
        return {pair: self.way(*pair) for pair in itertools.permutations(group, 2)}

    def _find(self, one: str, other: str) -> None:
        machine = self.parts[one].machine
        nodes = self._own_links(one, other)
        if nodes is None and machine == self.parts[other].machine:
            nodes = self._widest(self._inside(machine), one, other)
        if nodes is None:
            nodes = self._widest(self._whole, one, other)
        there = None if nodes is None else self._as_way(nodes)
        back = None if nodes is None else self._as_way(nodes[::-1])
        self._ways[one, other], self._ways[other, one] = there, back

    def _own_links(self, one: str, other: str) -> list[str] | None:
        """Over links of the devices' own kind, directly or through a switch of these."""
        near, far = self._linked[one], self._linked[other]
        if other in near:
            return [one, other]
        switches = [n for n in near if n in far and self.parts[n].kind == "switch"]
        if not switches:
            return None

        def width(switch: str) -> float:
            return min(self.capacities[Edge(name, switch)] for name in (one, other))

        return [one, max(switches, key=width), other]

    def _inside(self, machine: int) -> Any:
        if machine not in self._inner:
            own = [name for name, part in self.parts.items() if part.machine == machine]
            inner = self._whole.subgraph(own)
            kept = [e for e in inner.edges if inner.edges[e]["medium"] != "network"]
            self._inner[machine] = inner.edge_subgraph(kept)
        return self._inner[machine]

    def _widest(self, graph: Any, one: str, other: str) -> list[str] | None:
        """Among the wires of at least some width, the widest that still leads there."""
        import networkx

        if one not in graph or other not in graph:
            return None
        relays = [n for n in graph if self.parts[n].kind != "gpu" or n in (one, other)]
        usable = graph.subgraph(relays)
        widths = sorted({f["bandwidth"] for _, _, f in usable.edges(data=True)}, reverse=True)
        low, high = 0, len(widths)
        while low < high:
            middle = (low + high) // 2
            if networkx.has_path(_at_least(usable, widths[middle]), one, other):
                high = middle
            else:
                low = middle + 1
        if low == len(widths):
            return None
        wide = _at_least(usable, widths[low])
        found = networkx.dijkstra_path(wide, one, other, weight=_weight)
        return [str(name) for name in found]

    def _as_way(self, nodes: list[str]) -> Way:
        edges = tuple(Edge(*pair) for pair in itertools.pairwise(nodes))
        latency = sum(self._whole.edges[edge]["latency"] for edge in edges)
        width = min(self.capacities[edge] for edge in edges)
        return Way(edges, width, latency, self._distance(nodes, edges))

    def _distance(self, nodes: list[str], edges: tuple[Edge, ...]) -> Distance:
        media = {self.media[edge] for edge in edges}
        kinds = [self.parts[name].kind for name in nodes]
        if "network" in media:
            return "network"
        if media <= set(_FABRICS):
            return "direct"
        if "socket" in media:
            return "socket"
        return "root" if "root" in kinds or "socket" in kinds else "switch"


def _at_least(graph: Any, width: float) -> Any:
    import networkx

    return networkx.subgraph_view(
        graph, filter_edge=lambda one, other: graph.edges[one, other]["bandwidth"] >= width
    )


def _weight(one: str, other: str, fields: Mapping[str, float]) -> float:
    """Latency; of paths without any, the one with fewer wires."""
    return fields["latency"] + 1e-9


@functools.lru_cache(maxsize=128)
def graph(topology: Topology) -> Graph:
    """The graph of a topology, made once."""
    return Graph(topology)
