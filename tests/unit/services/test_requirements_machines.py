"""Machines of a requirements page against the accounting of a plan, device by device."""

from __future__ import annotations

import pytest

from planner import accounting
from planner.catalog.load import Catalog, load_catalog
from planner.services import requirements_figures as figures
from planner.services.requirements import requirements
from planner.services.requirements_fits import MOST_JOINED, Fits, Place, places
from planner.services.requirements_values import Machine, Requirements
from planner.solver.cluster import balanced, network_between
from planner.subject import Subject

MODELS = ("kimi-k2", "gpt-oss-20b", "gemma3-27b")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def pages(catalog: Catalog) -> dict[str, Requirements]:
    return {model: requirements(model, catalog) for model in MODELS}


def machine_of(page: Requirements, node: str, count: int = 1) -> Machine:
    return next(m for m in page.machines if (m.node, m.count) == (node, count))


def subject_of(catalog: Catalog, page: Requirements, quant: str | None = None) -> Subject:
    name, window = page.model.name, page.model.context
    return figures.subject_at(catalog, name, quant or page.recommended, window)


def place_of(catalog: Catalog, machine: Machine) -> Place:
    return Place(node=catalog.node(machine.node), gpu=catalog.gpu(machine.gpu), count=machine.count)


@pytest.mark.parametrize("model", MODELS)
def test_every_verdict_is_that_of_the_devices_of_a_plan(
    catalog: Catalog, pages: dict[str, Requirements], model: str
) -> None:
    page = pages[model]
    subject = subject_of(catalog, page)
    everywhere, _ = places(catalog)
    fits = Fits(catalog, [subject], subject, everywhere)
    assert len(page.machines) == len(everywhere) > 100
    for place, machine in zip(everywhere, page.machines, strict=True):
        _, split = fits.split(place)
        devices = accounting.devices_of(subject, catalog, split)
        used = [device for device in devices if device.slots]
        assert machine.verdict == accounting.verdict_of(devices), machine.node
        assert machine.spare_bytes == min(device.headroom_bytes for device in used), machine.node
        assert machine.devices_used == len(used)
        assert sum(device.slots for device in devices) == subject.slots
        assert {device.capacity_bytes for device in devices} == {machine.capacity_bytes}


@pytest.mark.parametrize(
    ("node", "count"),
    [
        ("dgx-h100", 1),
        ("dgx-h200", 1),
        ("rtx-pro-6000-x8", 1),
        ("dgx-spark-4", 1),
        ("mac-studio-m3u-512", 2),
        ("mac-studio-m3u-256", 4),
        ("strix-halo-128", 3),
    ],
)
def test_the_spare_memory_is_that_of_the_solvers_own_cluster(
    catalog: Catalog, pages: dict[str, Requirements], node: str, count: int
) -> None:
    nodes = [(catalog.node(node), count)]
    subject = subject_of(catalog, pages["kimi-k2"])
    split = balanced(catalog, subject, nodes, network_between(catalog, nodes))
    assert split is not None
    assert machine_of(pages["kimi-k2"], node, count).spare_bytes == split.headroom


def test_what_is_known_of_kimi_k2_in_four_bits(pages: dict[str, Requirements]) -> None:
    page = pages["kimi-k2"]
    expected = {
        ("dgx-h100", 1): "no",
        ("dgx-h200", 1): "fits",
        ("rtx-pro-6000-x8", 1): "fits",
        ("rtx-pro-6000-x4", 1): "no",
        ("mac-studio-m3u-512", 1): "no",
        ("mac-studio-m3u-512", 2): "fits",
        ("dgx-spark", 4): "no",
    }
    assert {key: machine_of(page, *key).verdict for key in expected} == expected
    short = machine_of(page, "dgx-h100")
    assert -(2**30) < short.spare_bytes < 0
    assert short.largest_quant == "Q4_K_S"


@pytest.mark.parametrize("model", MODELS)
def test_the_largest_that_fits_agrees_with_the_verdict(
    pages: dict[str, Requirements], model: str
) -> None:
    page = pages[model]
    size = {row.quant: row.true.file_bytes for row in page.quantizations}
    for machine in page.machines:
        held = size[machine.largest_quant] if machine.largest_quant else 0
        assert (held >= size[page.recommended]) == (machine.verdict != "no"), machine.node


@pytest.mark.parametrize("node", ["dgx-h100", "dgx-h200", "rtx-pro-6000-x4", "6000-ada-x8"])
def test_the_largest_fits_and_nothing_larger_does(
    catalog: Catalog, pages: dict[str, Requirements], node: str
) -> None:
    page = pages["kimi-k2"]
    size = {row.quant: row.true.file_bytes for row in page.quantizations}
    largest = machine_of(page, node).largest_quant
    assert largest is not None
    fitting = set()
    for quant in size:
        subject = subject_of(catalog, page, quant)
        split = balanced(catalog, subject, [(catalog.node(node), 1)], None)
        assert split is not None
        fitting |= {quant} if split.headroom >= 0 else set()
    assert size[largest] == max(size[quant] for quant in fitting)


def test_only_unified_machines_are_joined_and_never_more_than_allowed(
    catalog: Catalog, pages: dict[str, Requirements]
) -> None:
    joined = [machine for machine in pages["kimi-k2"].machines if machine.count > 1]
    assert {machine.node for machine in joined} >= {"dgx-spark", "mac-studio-m3u-512"}
    assert all(machine.unified and machine.machines <= MOST_JOINED for machine in joined)
    assert all(catalog.node(machine.node).networks for machine in joined)


def test_every_node_type_is_judged_or_left_out_with_a_reason(
    catalog: Catalog, pages: dict[str, Requirements]
) -> None:
    page = pages["kimi-k2"]
    judged = {machine.node for machine in page.machines}
    left = {entry.name: entry.reason for entry in page.left_out if entry.name in catalog.nodes}
    assert judged | set(left) == set(catalog.nodes)
    assert not judged & set(left)
    unknown = {n.name for n in catalog.nodes.values() if catalog.gpu(n.gpu).usable_memory is None}
    assert unknown
    assert unknown <= set(left)
    assert all(left.values())


def test_speed_is_given_exactly_where_the_model_fits(pages: dict[str, Requirements]) -> None:
    for page in pages.values():
        for machine in page.machines:
            assert (machine.tokens_per_second is None) == (machine.verdict == "no")
            assert (machine.calibration is None) == (machine.verdict == "no")


def test_joined_machines_are_slower_than_one_of_the_same_devices(
    pages: dict[str, Requirements],
) -> None:
    page = pages["gpt-oss-20b"]
    alone, joined = machine_of(page, "dgx-spark"), machine_of(page, "dgx-spark", 2)
    assert alone.tokens_per_second is not None
    assert joined.tokens_per_second is not None
    assert joined.tokens_per_second.best < alone.tokens_per_second.best


def test_more_of_the_same_devices_never_leave_less_room(pages: dict[str, Requirements]) -> None:
    page = pages["kimi-k2"]
    spare = [machine_of(page, "mac-studio-m3u-512", count).spare_bytes for count in (1, 2, 3, 4)]
    assert spare == sorted(spare)


def test_a_setting_is_named_where_memory_depends_on_it(pages: dict[str, Requirements]) -> None:
    mac = machine_of(pages["kimi-k2"], "mac-studio-m3u-512")
    assert mac.setting_command == "sudo sysctl iogpu.wired_limit_mb=491520"
    assert machine_of(pages["kimi-k2"], "dgx-h100").setting_command is None


def test_an_engine_cannot_use_more_devices_than_its_limit(
    pages: dict[str, Requirements],
) -> None:
    machine = machine_of(pages["kimi-k2"], "dgx-2-used")
    assert (machine.devices, machine.devices_used) == (16, 15)
