"""Exchanges between ranks: formulas on round links, and what holds where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.catalog.schema import Link, Network
from planner.performance.calibration import prior_cases
from planner.performance.collectives import (
    NOTHING,
    Joined,
    Span,
    all_reduce,
    exchange,
    hop,
    is_measured,
)
from tests.unit.performance.conftest import DAY

CATALOG = load_catalog()
NVLINK, PCIE = CATALOG.links["nvlink4"], CATALOG.links["pcie5-x16"]
INFINIBAND = CATALOG.networks["infiniband-ndr"]
IN_STEP = prior_cases("all-reduce-in-step")[1]


def joined(fabric: Link | None = NVLINK, network: Network | None = INFINIBAND) -> Joined:
    return Joined(fabric, network)


def link(**fields: Any) -> Link:
    row = {"source": "test", "checked": DAY, "kind": "scale-up"}
    return Link.model_validate(row | fields)


def test_inside_a_machine_alpha_and_bandwidth_of_the_row() -> None:
    row = CATALOG.collectives["nvlink4-8"]
    for size in (0.0, 1e6, 1e9):
        low, best, high = all_reduce(joined(), Span(8, 1), size)
        assert low == best == high
        assert best == pytest.approx(IN_STEP * (row.alpha + 2 * 7 / 8 * size / row.bandwidth))
    assert all_reduce(joined(), Span(1, 1), 1e6) == NOTHING


def test_over_machines_the_network_moves_the_pieces_of_all_ranks_of_a_machine() -> None:
    size = 1e9
    inside = all_reduce(joined(), Span(8, 1), size)
    both = all_reduce(joined(), Span(8, 4), size)
    alpha, share = prior_cases("network-collective"), prior_cases("network-share")
    for case in range(3):
        between = alpha[case] + 2 * 3 / 4 * size / (share[case] * 50e9)
        assert both[case] == pytest.approx(inside[case] + between)
    alone = all_reduce(joined(), Span(1, 2), size)
    assert alone[1] == pytest.approx(alpha[1] + size / (share[1] * 50e9))


def test_pessimists_take_what_tcp_reached() -> None:
    slow = CATALOG.networks["qsfp-200g"]
    assert slow.achieved_per_direction == 2_225_000_000
    low, best, _ = all_reduce(joined(network=slow), Span(1, 2), 1e9)
    assert low == pytest.approx(prior_cases("network-collective")[0] + 1e9 / 2.225e9)
    assert best < low / 8


def test_exchanges_grow_with_what_leaves_the_machine() -> None:
    one, two = (exchange(joined(), Span(8, machines), 1e8)[1] for machines in (1, 2))
    assert two > one
    rate, share = CATALOG.collectives["nvlink4-8"], prior_cases("exchange-share")
    assert one == pytest.approx(IN_STEP * rate.alpha + 1e8 / (rate.bandwidth * share[1]))
    network = 8 * 1e8 * 8 / 15 / (prior_cases("network-share")[1] * 50e9)
    local = IN_STEP * rate.alpha + 1e8 * 7 / 15 / (rate.bandwidth * share[1])
    assert two == pytest.approx(local + prior_cases("network-collective")[1] + network)


def test_hops() -> None:
    inside, outside = (hop(joined(), inside=each, size=1e6) for each in (True, False))
    assert all(a < b for a, b in zip(inside, outside, strict=True))
    assert inside[0] > inside[1] > inside[2] > prior_cases("stage-hop")[2]


def test_more_ranks_than_any_row_has_start_slower() -> None:
    eight, sixteen = (all_reduce(joined(), Span(ranks, 1), 0.0) for ranks in (8, 16))
    assert sixteen[1] == pytest.approx(2 * eight[1])
    assert sixteen[0] == 2 * sixteen[1] == 4 * sixteen[2]
    assert all_reduce(joined(), Span(3, 1), 0.0) == all_reduce(joined(), Span(4, 1), 0.0)


def test_links_nobody_measured_take_the_shares_of_pcie_with_a_wide_band() -> None:
    half = link(name="half", bandwidth_per_direction=PCIE.bandwidth_per_direction // 2)
    for ranks in (2, 4, 8):
        low, best, high = all_reduce(joined(half), Span(ranks, 1), 1e9)
        assert low == pytest.approx(2 * best) == pytest.approx(4 * high)
        assert best == pytest.approx(2 * all_reduce(joined(PCIE), Span(ranks, 1), 1e9)[1], rel=0.01)
        assert not is_measured(half, ranks)
        assert is_measured(PCIE, ranks)
    assert not is_measured(None, 2)
    assert is_measured(None, 1)
    assert all_reduce(joined(None), Span(4, 1), 1e6) == all_reduce(joined(PCIE), Span(4, 1), 1e6)


def test_rows_are_of_links_there_are() -> None:
    for row in CATALOG.collectives.values():
        assert row.link in CATALOG.links
        assert row.name == f"{row.link}-{row.ranks}"
