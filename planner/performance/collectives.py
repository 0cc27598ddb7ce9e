"""Seconds that ranks of a grid spend exchanging results. Layer: performance.

Inside a machine what its link graph says (`planner.topology`). Over machines a reduce-scatter
inside, an all-reduce of the pieces over the network, whose rate all devices of a machine share,
and an all-gather inside.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.catalog.schema import Link, Network
from planner.performance.calibration import Cases, prior_cases
from planner.topology import collectives
from planner.topology.domains import Domain, plain_domain, sent, slowest
from planner.topology.measured import Operation, links

_UNKNOWN = "pcie5-x16"
"""Link taken where nothing says what joins the devices."""
NOTHING: Cases = (0.0, 0.0, 0.0)
_MOST_FASTER = 2.0
"""Factor that a collective nobody measured may be faster."""


class Span(NamedTuple):
    """Where the ranks of a group are."""

    inside: int
    """In each machine."""
    machines: int


class Joined(NamedTuple):
    """What joins the ranks: the fabric of a machine, and what is between machines."""

    fabric: Link | None
    network: Network | None
    domain: Domain | None = None
    """The link graph of a machine; left out, that of unknown devices joined by `fabric`."""
    used: int = 0
    """Devices used of the domain; 0 is all that groups fill."""


def all_reduce(joined: Joined, span: Span, size: float) -> Cases:
    """Seconds of one all-reduce of `size` bytes: low, best, high."""
    return _sum(_inside(joined, span.inside, size), _between(joined.network, span.machines, size))


def exchange(joined: Joined, span: Span, size: float) -> Cases:
    """Seconds of one exchange in which every rank sends `size` bytes to all others in sum.

    What goes to other machines shares the network of its own.
    """
    others = span.inside * span.machines - 1
    inside = NOTHING
    if span.inside > 1:
        inside = _exchanged(joined, span.inside, size * (span.inside - 1) / others)
    if span.machines == 1:
        return inside
    remote = span.inside * size * (others + 1 - span.inside) / others
    return _sum(inside, _over_network(joined.network, remote))


def hop(joined: Joined, *, inside: bool, size: float) -> Cases:
    """Seconds to hand `size` bytes to the next pipeline stage."""
    if inside:
        moved = sent(_domain(joined, 2)).seconds(size)
        low, best, high = prior_cases("stage-hop")
        return low + moved, best + moved, high + moved
    alpha, rates = prior_cases("stage-network-hop"), _network_rates(joined.network)
    low, best, high = (alpha[case] + size / rates[case] for case in range(3))
    return low, best, high


def is_measured(joined: Joined, ranks: int) -> bool:
    """Whether all-reduces of so many devices so joined were measured."""
    if ranks == 1:
        return True
    if joined.fabric is None and joined.domain is None:
        return False
    return _of("all-reduce", joined, ranks).measured


def _domain(joined: Joined, ranks: int) -> Domain:
    if joined.domain is not None:
        return joined.domain
    return plain_domain(joined.fabric or links()[_UNKNOWN], ranks)


def _of(operation: Operation, joined: Joined, ranks: int) -> collectives.Joined:
    """What the slowest group of so many devices takes."""
    domain = _domain(joined, ranks)
    groups = max(1, (joined.used or domain.reach) // ranks)
    return slowest(domain, operation, ranks, groups, None)


def _inside(joined: Joined, ranks: int, size: float) -> Cases:
    """The part inside a machine, reduce-scatter and all-gather in one."""
    if ranks == 1:
        return NOTHING
    found = _of("all-reduce", joined, ranks)
    seconds = found.curve.seconds(size) * prior_cases("all-reduce-in-step")[1]
    return seconds * found.slower, seconds, seconds / min(found.slower, _MOST_FASTER)


def _exchanged(joined: Joined, ranks: int, size: float) -> Cases:
    """The part of an exchange inside a machine; the rate's band is that of `exchange-share`."""
    found = _of("all-to-all", joined, ranks)
    low, best, high = _inside(joined, ranks, 0.0)
    share = prior_cases("exchange-share")
    moved = size * found.curve.per_byte
    return (
        low + moved * share[1] / share[0],
        best + moved,
        high + moved * share[1] / share[2],
    )


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
