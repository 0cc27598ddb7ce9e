"""Seconds that ranks of a grid spend exchanging results. Layer: performance.

An all-reduce over the devices of a machine takes alpha + 2 * (n - 1) / n * bytes / bandwidth, both
measured per kind of link. Over machines it is a reduce-scatter inside, an all-reduce of the pieces
over the network, whose rate all devices of a machine share, and an all-gather inside.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from planner.catalog.load import shipped_rows
from planner.catalog.schema import Collective, Link, Network
from planner.performance.calibration import Cases, prior_cases

_UNKNOWN = "pcie5-x16"
"""Link whose shares of the data sheet hold for links nobody measured."""
NOTHING: Cases = (0.0, 0.0, 0.0)
_ASSUMED_BAND = 2.0
"""Factor either way where a link has no measurement."""


class Span(NamedTuple):
    """Where the ranks of a group are."""

    inside: int
    """In each machine."""
    machines: int


class Joined(NamedTuple):
    """What joins the ranks: the fabric of a machine, and what is between machines."""

    fabric: Link | None
    network: Network | None


def all_reduce(joined: Joined, span: Span, size: float) -> Cases:
    """Seconds of one all-reduce of `size` bytes: low, best, high."""
    inside = _inside(joined.fabric, span.inside, size)
    return _sum(inside, _between(joined.network, span.machines, size))


def exchange(joined: Joined, span: Span, size: float) -> Cases:
    """Seconds of one exchange in which every rank sends `size` bytes to all others in sum.

    What goes to other machines shares the network of its own.
    """
    others = span.inside * span.machines - 1
    inside = NOTHING
    if span.inside > 1:
        share = prior_cases("exchange-share")
        local = size * (span.inside - 1) / others
        low, best, high = _inside(joined.fabric, span.inside, 0.0)
        rate = _measured(joined.fabric, span.inside).bandwidth
        inside = (
            low + local / (rate * share[0]),
            best + local / (rate * share[1]),
            high + local / (rate * share[2]),
        )
    if span.machines == 1:
        return inside
    remote = span.inside * size * (others + 1 - span.inside) / others
    return _sum(inside, _over_network(joined.network, remote))


def hop(joined: Joined, *, inside: bool, size: float) -> Cases:
    """Seconds to hand `size` bytes to the next pipeline stage."""
    if inside:
        rate = _measured(joined.fabric, 2).bandwidth
        low, best, high = prior_cases("stage-hop")
        return low + size / rate, best + size / rate, high + size / rate
    alpha, rates = prior_cases("stage-network-hop"), _network_rates(joined.network)
    low, best, high = (alpha[case] + size / rates[case] for case in range(3))
    return low, best, high


def is_measured(fabric: Link | None, ranks: int) -> bool:
    """Whether collectives over this link were measured."""
    return ranks == 1 or (fabric is not None and _measured(fabric, ranks).measured)


class _Known(NamedTuple):
    alpha: float
    bandwidth: float
    measured: bool


def _inside(fabric: Link | None, ranks: int, size: float) -> Cases:
    """The part inside a machine, reduce-scatter and all-gather in one."""
    if ranks == 1:
        return NOTHING
    known = _measured(fabric, ranks)
    seconds = known.alpha + 2 * (ranks - 1) / ranks * size / known.bandwidth
    seconds *= prior_cases("all-reduce-in-step")[1]
    band = 1.0 if known.measured else _ASSUMED_BAND
    return seconds * band, seconds, seconds / band


def _between(network: Network | None, machines: int, size: float) -> Cases:
    if machines == 1:
        return NOTHING
    return _over_network(network, 2 * (machines - 1) / machines * size)


def _over_network(network: Network | None, moved: float) -> Cases:
    """A collective in which each machine sends `moved` bytes."""
    alpha, rates = prior_cases("network-collective"), _network_rates(network)
    low, best, high = (alpha[case] + moved / rates[case] for case in range(3))
    return low, best, high


def _sum(one: Cases, other: Cases) -> Cases:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _network_rates(network: Network | None) -> Cases:
    """Bytes/s of one machine; the pessimist's no more than TCP reaches where that was measured."""
    share = prior_cases("network-share")
    assert network is not None, "ranks on several machines need a network"
    rate = float(network.bandwidth_per_direction)
    low = rate * share[0]
    if network.achieved_per_direction is not None:
        low = min(low, float(network.achieved_per_direction))
    return low, rate * share[1], rate * share[2]


def _measured(fabric: Link | None, ranks: int) -> _Known:
    if fabric is None:
        return _row(_UNKNOWN, ranks)
    return _of_link(fabric.name, fabric.bandwidth_per_direction, ranks)


@functools.cache
def _of_link(name: str, bandwidth: int, ranks: int) -> _Known:
    if name in _collectives():
        return _row(name, ranks)
    reference = _row(_UNKNOWN, ranks)
    share = reference.bandwidth / _links()[_UNKNOWN]
    return _Known(reference.alpha, share * bandwidth, False)


@functools.cache
def _row(link: str, ranks: int) -> _Known:
    """The row with as many ranks, or the next larger; beyond the largest, alpha grows with them."""
    rows = _collectives()[link]
    row = next((row for row in rows if row.ranks >= ranks), rows[-1])
    grown = max(1.0, ranks / row.ranks)
    return _Known(row.alpha * grown, float(row.bandwidth), row.measured and grown == 1.0)


@functools.cache
def _collectives() -> Mapping[str, tuple[Collective, ...]]:
    found: dict[str, list[Collective]] = {}
    for _, row in shipped_rows("calibration"):
        if isinstance(row, Collective):
            found.setdefault(row.link, []).append(row)
    ordered = {k: tuple(sorted(rows, key=lambda row: row.ranks)) for k, rows in found.items()}
    return MappingProxyType(ordered)


@functools.cache
def _links() -> Mapping[str, int]:
    rows = (row for _, row in shipped_rows("links") if isinstance(row, Link))
    return MappingProxyType({row.name: row.bandwidth_per_direction for row in rows})
