"""Money by hand."""

from __future__ import annotations

import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from planner.catalog.load import Catalog
from planner.catalog.schema import Network, Node, Price
from planner.cost import (
    adapters_needed,
    break_even_hours,
    cluster_cost,
    electricity_per_month,
    joining_cost,
    machines_of,
    network_cost,
    rent_of,
)

ROW: dict[str, Any] = {"source": "test", "checked": datetime.date(2026, 11, 25)}
QSFP = Network.model_validate(
    {
        **ROW,
        "name": "qsfp",
        "bandwidth_per_direction": "200 Gb/s",
        "hop_low": 1.5e-3,
        "hop_best": 0.6e-3,
        "hop_high": 0.25e-3,
        "adapter": 1600,
        "cable": 150,
        "switch": 1300,
        "direct": 2,
        "ports": 8,
    }
)


def node(name: str, **changes: Any) -> Node:
    fields = {
        **ROW,
        "name": name,
        "title": name,
        "kind": "whole",
        "gpu": "gb10",
        "gpus": 1,
        "vendor": "test",
        "power": 240.0,
        "rack_units": 1.0,
    }
    return Node.model_validate(fields | changes)


SPARK = node("spark", built_in_networks=("qsfp",), networks=("qsfp",))
PAIR = node("pair", gpus=2, machines=2, built_in_networks=("qsfp",), power=480.0)
SERVER = node("server", gpu="pro6000", gpus=8, power=6500.0, rack_units=4.0)
UNPRICED = node("unpriced", power=None)
RENTED_8 = node("cloud-8", kind="rented", gpu="pro6000", gpus=8)
RENTED_4 = node("cloud-4", kind="rented", gpu="pro6000", gpus=4)
RENTED_1 = node("cloud-1", kind="rented", gpu="pro6000", gpus=1)
RENTED_OTHER = node("cloud-other", kind="rented", gpu="h100", gpus=8)
RENTED_UNPRICED = node("cloud-unpriced", kind="rented", gpu="pro6000", gpus=8)


def price(name: str, kind: str, low: str, mid: str, high: str) -> Price:
    day = datetime.date(2026, 11, 1)
    terms = "list" if kind == "purchase" else "on-demand"
    return Price.model_validate(
        {**ROW, "name": name, "kind": kind, "terms": terms, "date": day}
        | {"low": low, "mid": mid, "high": high}
    )


@pytest.fixture
def catalog() -> Catalog:
    nodes = (SPARK, PAIR, SERVER, UNPRICED, RENTED_8, RENTED_4, RENTED_1)
    nodes += (RENTED_OTHER, RENTED_UNPRICED)
    prices = (
        price("spark", "purchase", "4500", "4699", "5000"),
        price("pair", "purchase", "9000", "9600", "10000"),
        price("server", "purchase", "120000", "129800", "150000"),
        price("cloud-8", "hourly", "7.39", "20", "36"),
        price("cloud-4", "hourly", "16", "16.57", "17"),
        price("cloud-1", "hourly", "1.69", "1.69", "1.69"),
        price("cloud-other", "hourly", "24", "24", "24"),
    )
    empty: Any = MappingProxyType({})
    tables: dict[str, Any] = dict.fromkeys(
        (
            *("gpus", "links", "quantizations", "models", "engine_builds", "calibrations"),
            *("priors", "serving_rates", "serving_engines", "collectives"),
        ),
        empty,
    )
    return Catalog(
        **tables,
        nodes={row.name: row for row in nodes},
        prices={row.name: row for row in prices},
        networks={"qsfp": QSFP},
        digest="",
    )


@pytest.mark.parametrize(
    ("machines", "without", "expected"),
    [
        (1, 1, 0),
        (2, 0, 2 * 150),
        (2, 2, 2 * 1600 + 2 * 150),
        (3, 1, 1600 + 3 * 150 + 1300),
        (6, 0, 6 * 150 + 1300),
        (8, 0, 8 * 150 + 1300),
        (9, 0, 9 * 150 + 2 * 1300),
    ],
)
def test_joining_machines_costs_adapters_cables_and_switches(machines, without, expected):
    assert network_cost(QSFP, machines, without) == expected


def test_machines_without_a_network_cost_nothing_to_join():
    assert network_cost(None, 3, 3) == 0


def test_a_linked_pair_counts_as_its_machines_and_its_adapters_are_in_its_price():
    nodes = [(PAIR, 2), (SERVER, 1)]
    assert machines_of(nodes) == 5
    assert adapters_needed(QSFP, nodes) == 1
    assert joining_cost(QSFP, nodes) == 1600 + 5 * 150 + 1300
    assert joining_cost(QSFP, [(PAIR, 1)]) == 0


def test_a_cluster_costs_its_nodes_and_its_network_at_each_price(catalog):
    cost = cluster_cost(catalog, [(SPARK, 6)], QSFP)
    network = 6 * 150 + 1300
    assert cost.network == network
    assert cost.purchase == (27000 + network, 28194 + network, 30000 + network)
    assert (cost.power, cost.rack_units) == (1440, 6)
    assert cost.hourly is None


def test_one_node_without_a_price_leaves_the_cluster_without_one(catalog):
    cost = cluster_cost(catalog, [(SPARK, 1), (UNPRICED, 1)], QSFP)
    assert cost.purchase is None
    assert cost.power is None
    assert cost.rack_units == 2


def test_rent_is_the_mid_of_each_node(catalog):
    cost = cluster_cost(catalog, [(RENTED_8, 1), (RENTED_4, 2)], None)
    assert cost.hourly == Decimal("53.14")
    assert cost.purchase is None


def test_electricity_is_power_times_load_overhead_and_price():
    # 10 kW * 0.7 * 1.25 * 730 h = 6387.5 kWh
    assert electricity_per_month(10_000) == Decimal("638.75")
    assert electricity_per_month(
        10_000, usd_per_kwh=Decimal("0.2"), overhead=Decimal(1), load=Decimal(1)
    ) == Decimal(1460)


def test_buying_breaks_even_after_the_price_over_what_an_hour_saves():
    assert break_even_hours(Decimal(129800), Decimal(20)) == 6490
    assert break_even_hours(Decimal(1000), Decimal(3), Decimal(1)) == 500
    assert break_even_hours(Decimal(1000), Decimal(1), Decimal(1)) is None


def test_rent_offers_are_whole_nodes_with_the_same_gpu_cheapest_first(catalog):
    offers = rent_of(catalog, "pro6000", 8)
    assert [(offer.node.name, offer.count, offer.hourly) for offer in offers] == [
        ("cloud-1", 8, Decimal("13.52")),
        ("cloud-8", 1, Decimal(20)),
        ("cloud-4", 2, Decimal("33.14")),
    ]
    assert [offer.count for offer in rent_of(catalog, "pro6000", 9)] == [9, 2, 3]


def test_rent_offers_keep_to_the_most_nodes(catalog):
    offers = rent_of(catalog, "pro6000", 8, max_nodes=4)
    assert [offer.node.name for offer in offers] == ["cloud-8", "cloud-4"]


def test_nobody_rents_a_gpu_without_a_rented_node(catalog):
    assert rent_of(catalog, "gb10", 6) == []
