"""What a node costs: the sum of its parts or its own row, never nothing."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from planner.catalog import Catalog, load_catalog
from planner.catalog.prices import hourly, hourly_quote, purchase_bounds, purchase_quote


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_a_built_node_costs_the_sum_of_its_parts(catalog: Catalog) -> None:
    # host 14,900/17,300/19,620, four cards at 13,998/15,500/17,000, a second supply at 600
    bounds = purchase_bounds(catalog, catalog.node("rtx-pro-6000-x4"))
    assert bounds == (Decimal(71_492), Decimal(79_900), Decimal(88_220))


def test_a_linked_pair_costs_two_machines_and_a_cable(catalog: Catalog) -> None:
    assert (
        purchase_bounds(catalog, catalog.node("dgx-spark-pair")) == (Decimal(2 * 4699 + 150),) * 3
    )


def test_a_whole_node_costs_its_row(catalog: Catalog) -> None:
    quote = purchase_quote(catalog, catalog.node("dgx-h100"))
    assert quote is not None
    assert (quote.low, quote.mid, quote.high) == (199_000, 270_000, 317_000)
    assert quote.rows == ("dgx-h100",)
    assert "supercluster.blog" in quote.source


def test_a_quote_is_as_old_as_its_oldest_part(catalog: Catalog) -> None:
    quote = purchase_quote(catalog, catalog.node("rtx-pro-6000-x4"))
    assert quote is not None
    assert quote.date == datetime.date(2026, 5, 23)
    assert quote.rows == ("host-threadripper-pro-4gpu", "rtx-pro-6000-ws-96", "psu-2000w")


def test_a_quote_names_parts_with_unread_figures(catalog: Catalog) -> None:
    quote = purchase_quote(catalog, catalog.node("dgx-spark-pair"))
    assert quote is not None
    assert quote.unverified == ("qsfp-200g-cable",)


def test_one_part_without_a_price_leaves_none(catalog: Catalog) -> None:
    node = catalog.node("rtx-pro-6000-x4")
    missing = node.parts[0].model_copy(update={"item": "nobody-sells-this"})
    changed = node.model_copy(update={"parts": (missing, *node.parts[1:])})
    assert purchase_bounds(catalog, changed) is None


def test_rented_nodes_have_rent_and_no_purchase_price(catalog: Catalog) -> None:
    node = catalog.node("aws-p5")
    assert hourly(catalog, node) == Decimal("55.04")
    assert purchase_bounds(catalog, node) is None


def test_bought_nodes_have_no_rent(catalog: Catalog) -> None:
    assert hourly(catalog, catalog.node("dgx-h100")) is None


def test_rent_keeps_its_terms(catalog: Catalog) -> None:
    spot = hourly_quote(catalog, catalog.node("aws-p5en-spot"))
    assert spot is not None
    assert spot.terms == ("spot",)
    assert spot.low < spot.mid < spot.high
