"""Integrity rules of the catalogs: what must hold before a row is believed.

`check` returns every breach, then what is legal but kept out of a default search or worth a look:
values nobody read in a source, memory nobody has published, nodes without a price, old prices.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from planner.catalog.check_devices import device_findings
from planner.catalog.check_models import model_findings
from planner.catalog.finding import Finding, error
from planner.catalog.load import TABLES, Catalog
from planner.catalog.prices import hourly_quote, purchase_quote
from planner.catalog.schema import Node, Row

STALE_AFTER = datetime.timedelta(days=90)
"""Age from which a price is called old, against the newest row of the catalog."""


def check(catalog: Catalog, today: datetime.date | None = None) -> tuple[Finding, ...]:
    """Every breach of a rule, then every listing; in file order within each rule.

    Args:
        catalog: What is judged, overlays included.
        today: Day no row may be later than; None leaves the clock out.
    """
    return (
        *_sources(catalog),
        *_dates(catalog, today),
        *device_findings(catalog),
        *_references(catalog),
        *_nodes(catalog),
        *_prices(catalog),
        *_networks(catalog),
        *_builds(catalog),
        *model_findings(catalog),
        *_unverified(catalog),
        *_missing(catalog),
        *_stale(catalog),
    )


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The breaches among `findings`."""
    return tuple(finding for finding in findings if finding.level == "error")


def _tables(catalog: Catalog) -> Mapping[str, Mapping[str, Row]]:
    return MappingProxyType({table: getattr(catalog, f"{table}s") for table in TABLES})


def _rows(catalog: Catalog) -> Iterator[tuple[str, Row]]:
    for table, rows in _tables(catalog).items():
        for row in rows.values():
            yield table, row


def _sources(catalog: Catalog) -> Iterator[Finding]:
    """Every row has a source, and every source of a field names a field."""
    for table, row in _rows(catalog):
        if not row.source.strip():
            yield error(table, row.name, "source", "has no source")
        for field, source in row.sources.items():
            if field not in type(row).model_fields:
                yield error(table, row.name, f"sources.{field}", "there is no such field")
            elif not source.strip():
                yield error(table, row.name, f"sources.{field}", "has no source")
            elif getattr(row, field) is None:
                yield error(table, row.name, f"sources.{field}", "the field has no value")


def _dates(catalog: Catalog, today: datetime.date | None) -> Iterator[Finding]:
    """No row is from the future, and no price held after the day it was read."""
    for table, row in _rows(catalog):
        if today is not None and row.checked > today:
            yield error(table, row.name, "checked", f"{row.checked} is in the future")
    for price in catalog.prices.values():
        if price.date > price.checked:
            yield error("price", price.name, "date", f"{price.date} is after its check")


def _references(catalog: Catalog) -> Iterator[Finding]:
    """What a node names is there."""
    for node in catalog.nodes.values():
        if node.gpu not in catalog.gpus:
            yield error("node", node.name, "gpu", f"there is no gpu '{node.gpu}'")
        if node.fabric is not None and node.fabric not in catalog.links:
            yield error("node", node.name, "fabric", f"there is no link '{node.fabric}'")
        if node.bridge is not None and node.bridge not in catalog.links:
            yield error("node", node.name, "bridge", f"there is no link '{node.bridge}'")
        for network in node.networks:
            if network not in catalog.networks:
                yield error("node", node.name, "networks", f"there is no network '{network}'")
        for network in node.built_in_networks:
            if network not in node.networks:
                yield error("node", node.name, "built_in_networks", f"'{network}' is not joinable")
        for part in node.parts:
            priced = catalog.prices.get(part.item)
            if priced is None or priced.kind != "purchase":
                yield error("node", node.name, "parts", f"there is no price of '{part.item}'")


def _nodes(catalog: Catalog) -> Iterator[Finding]:
    """A node is whole machines of as many devices, and its kind fits its price."""
    for node in catalog.nodes.values():
        if node.gpus % node.machines:
            message = f"{node.gpus} devices do not divide over {node.machines} machines"
            yield error("node", node.name, "machines", message)
        if node.kind == "parts" and _cards(node) != node.gpus:
            message = f"its parts hold {_cards(node)} cards '{node.gpu}', not {node.gpus}"
            yield error("node", node.name, "parts", message)
        if node.kind == "rented" and node.parts:
            yield error("node", node.name, "parts", "a rented machine is not built from parts")
        if node.kind == "rented" and node.instance is None:
            yield error("node", node.name, "instance", "a rented machine has its vendor's name")
        gpu = catalog.gpus.get(node.gpu)
        used = gpu is not None and gpu.availability in ("used", "withdrawn")
        if node.kind != "rented" and node.availability == "new" and used:
            yield error("node", node.name, "availability", f"'{node.gpu}' cannot be bought new")
        if node.parts and node.name in catalog.prices:
            yield error("node", node.name, "parts", "has parts and a price row: two prices")


def _cards(node: Node) -> int:
    return sum(part.count for part in node.parts if part.item == node.gpu)


def _prices(catalog: Catalog) -> Iterator[Finding]:
    """A price is a range in order, and rent is of a rented machine."""
    for price in catalog.prices.values():
        low, mid, high = price.bounds
        if not 0 < low <= mid <= high:
            yield error("price", price.name, "mid", f"{low}, {mid}, {high} are not in order")
        node = catalog.nodes.get(price.name)
        rented = node is not None and node.kind == "rented"
        if (price.kind == "hourly") != rented:
            message = "rent is of a rented node, purchase of anything else"
            yield error("price", price.name, "kind", message)


def _networks(catalog: Catalog) -> Iterator[Finding]:
    """Ranges are in order, and rented machines are joined within one provider only."""
    for network in catalog.networks.values():
        if not 0 < network.hop_high <= network.hop_best <= network.hop_low:
            yield error("network", network.name, "hop_best", "hop times are not in order")
        if not 1 < network.direct <= network.ports:
            yield error("network", network.name, "ports", "are fewer than joined without a switch")
        if min(network.adapter, network.cable, network.switch) < 0:
            yield error("network", network.name, "adapter", "a price is negative")
        users = [node for node in catalog.nodes.values() if network.name in node.networks]
        kinds = {node.kind == "rented" for node in users}
        vendors = {node.vendor for node in users if node.kind == "rented"}
        if len(kinds) > 1 or len(vendors) > 1:
            message = "joins rented machines with others or with another provider's"
            yield error("network", network.name, "", message)
    for table in (catalog.links, catalog.networks):
        for row in table.values():
            if (row.achieved_per_direction or 0) > row.bandwidth_per_direction:
                name = "link" if table is catalog.links else "network"
                yield error(name, row.name, "achieved_per_direction", "is over the bandwidth")


def _builds(catalog: Catalog) -> Iterator[Finding]:
    """Each engine has one default build."""
    for engine in dict.fromkeys(build.engine for build in catalog.engine_builds.values()):
        builds = [build for build in catalog.engine_builds.values() if build.engine == engine]
        if sum(build.default for build in builds) != 1:
            names = ", ".join(build.name for build in builds)
            yield error("engine_build", builds[0].name, "default", f"not one default of {names}")


def _unverified(catalog: Catalog) -> Iterator[Finding]:
    for table, row in _rows(catalog):
        for field in row.unverified:
            yield Finding(
                level="unverified",
                table=table,
                name=row.name,
                field="" if field == "all" else field,
                message="nobody read this in a source",
            )


def _missing(catalog: Catalog) -> Iterator[Finding]:
    for gpu in catalog.gpus.values():
        if gpu.usable_memory is None:
            message = "nobody has published what the driver reports"
            yield Finding(
                level="missing", table="gpu", name=gpu.name, field="usable_memory", message=message
            )
    for node in catalog.nodes.values():
        if (purchase_quote(catalog, node) or hourly_quote(catalog, node)) is None:
            what = "rent" if node.kind == "rented" else "purchase price"
            yield Finding(
                level="missing", table="node", name=node.name, field="price", message=f"no {what}"
            )


def _stale(catalog: Catalog) -> Iterator[Finding]:
    newest = max((row.checked for _, row in _rows(catalog)), default=datetime.date.min)
    for price in catalog.prices.values():
        if newest - price.date > STALE_AFTER:
            message = f"of {price.date}, {(newest - price.date).days} days before the newest row"
            yield Finding(
                level="stale", table="price", name=price.name, field="date", message=message
            )
