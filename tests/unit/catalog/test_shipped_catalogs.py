"""The shipped catalogs keep every rule, and hold what the planner promises."""

from __future__ import annotations

from collections import Counter

import pytest

from planner.catalog import Catalog, load_catalog
from planner.catalog.check import check, errors
from planner.catalog.prices import hourly, purchase_bounds
from planner.engines.names import GRID_ENGINES
from planner.engines.sglang import serving as sglang
from planner.engines.vllm import versions
from planner.units import GIB, MIB


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_every_rule_holds(catalog: Catalog) -> None:
    assert errors(check(catalog)) == ()


def test_there_are_enough_devices_and_nodes(catalog: Catalog) -> None:
    assert len(catalog.gpus) >= 45
    kinds = Counter(node.kind for node in catalog.nodes.values())
    assert sum(kinds.values()) >= 40
    assert set(kinds) == {"whole", "parts", "rented"}


@pytest.mark.parametrize(
    ("gpu", "usable", "reserved"),
    [
        # nvidia-smi and rocm-smi dumps, MiB
        ("h100-sxm-80", 81559, 479),
        ("h200-sxm-141", 143771, 614),
        ("l40s-48", 46068, 609),
        ("h100-nvl-94", 95830, None),
        ("b200-sxm-180", 183359, None),
        ("b300-sxm-288", 275040, None),
        ("gb200-186", 189471, None),
        ("gb300-288", 284208, None),
        ("a100-sxm-80", 81920, None),
        ("a100-sxm-40", 40960, None),
        ("l4-24", 23034, None),
        ("t4-16", 15360, None),
        ("rtx-pro-6000-ws-96", 97887, None),
        ("rtx-5090-32", 32607, None),
        ("rtx-4090-24", 24564, None),
        ("rtx-3090-24", 24576, None),
        ("rtx-a6000-48", 49140, None),
        ("mi300x-192", 196592, None),
        ("v100-sxm2-16", 16384, None),
        ("gb10-128", 122573, 6144),
    ],
)
def test_usable_memory_is_what_the_driver_reports(
    catalog: Catalog, gpu: str, usable: int, reserved: int | None
) -> None:
    row = catalog.gpu(gpu)
    assert row.usable_memory == usable * MIB
    assert row.reserved_memory == (None if reserved is None else reserved * MIB)
    assert "usable_memory" not in row.unverified


@pytest.mark.parametrize(
    ("gpu", "rate"),
    [("rtx-3090-24", 71.2), ("rtx-4090-24", 165.2), ("rtx-5090-32", 209.5), ("h100-sxm-80", 989)],
)
def test_tensor_rates_accumulate_in_fp32(catalog: Catalog, gpu: str, rate: float) -> None:
    assert catalog.gpu(gpu).dense_fp16 == pytest.approx(rate * 1e12)


@pytest.mark.parametrize(
    ("gpu", "default", "raised"),
    [
        ("apple-m5-ultra-256", 192 * 1024, 240 * 1024),
        ("apple-m3-ultra-512", 384 * 1024, 480 * 1024),
        ("apple-m2-ultra-192", 144 * 1024, 176 * 1024),
        ("apple-m5-max-128", 110100, 112 * 1024),
    ],
)
def test_a_mac_counts_its_raised_wired_limit_and_says_how(
    catalog: Catalog, gpu: str, default: int, raised: int
) -> None:
    row = catalog.gpu(gpu)
    assert row.setting is not None
    assert (row.setting.default, row.usable_memory) == (default * MIB, raised * MIB)
    assert row.setting.command == f"sudo sysctl iogpu.wired_limit_mb={raised}"
    assert row.unified


def test_strix_halo_names_its_kernel_parameters_in_pages_of_4_kib(catalog: Catalog) -> None:
    setting = catalog.gpu("strix-halo-128").setting
    assert setting is not None
    assert f"amdgpu.gttsize={setting.memory // MIB}" in setting.command
    assert f"ttm.pages_limit={setting.memory // 4096}" in setting.command


def test_apple_devices_share_memory_and_cards_do_not(catalog: Catalog) -> None:
    for gpu in catalog.gpus.values():
        if gpu.family == "metal":
            assert gpu.unified, gpu.name
        if gpu.speed_class == "geforce":
            assert not gpu.unified, gpu.name


def test_speed_classes_follow_vendor_and_memory(catalog: Catalog) -> None:
    for gpu in catalog.gpus.values():
        kind = gpu.memory_kind or ""
        allowed = {
            "geforce": gpu.vendor == "nvidia" and kind.startswith("GDDR"),
            "hbm": gpu.vendor == "nvidia" and kind.startswith("HBM"),
            "apple": gpu.vendor == "apple",
            "none": True,
        }
        assert allowed[gpu.speed_class], gpu.name


@pytest.mark.parametrize(
    ("node", "gpu", "gpus", "machines"),
    [
        ("dgx-h100", "h100-sxm-80", 8, 1),
        ("hgx-h100-8", "h100-sxm-80", 8, 1),
        ("hgx-h200-8", "h200-sxm-141", 8, 1),
        ("h100-sxm-1", "h100-sxm-80", 1, 1),
        ("rtx-pro-6000-x2", "rtx-pro-6000-ws-96", 2, 1),
        ("rtx-pro-6000-x3", "rtx-pro-6000-ws-96", 3, 1),
        ("rtx-pro-6000-x4", "rtx-pro-6000-ws-96", 4, 1),
        ("rtx-pro-6000-x8", "rtx-pro-6000-se-96", 8, 1),
        ("dgx-spark", "gb10-128", 1, 1),
        ("dgx-spark-pair", "gb10-128", 2, 2),
        ("dgx-spark-4", "gb10-128", 4, 4),
        ("mac-studio-m5u-256", "apple-m5-ultra-256", 1, 1),
        ("strix-halo-128", "strix-halo-128", 1, 1),
    ],
)
def test_well_known_nodes_are_what_their_names_say(
    catalog: Catalog, node: str, gpu: str, gpus: int, machines: int
) -> None:
    row = catalog.node(node)
    assert (row.gpu, row.gpus, row.machines) == (gpu, gpus, machines)


def test_bought_machines_can_always_be_joined_over_ethernet(catalog: Catalog) -> None:
    alone = [
        node.name
        for node in catalog.nodes.values()
        if node.kind != "rented" and "ethernet-10g" not in node.networks
    ]
    assert alone == ["gb200-nvl72", "gb300-nvl72"]


def test_rented_machines_join_their_own_provider_only(catalog: Catalog) -> None:
    for node in catalog.nodes.values():
        if node.kind == "rented":
            alone = node.vendor == "vast"  # hosts of a market place share no private network
            assert node.networks == (() if alone else (f"cloud-{node.vendor}",)), node.name
            assert node.built_in_networks == node.networks, node.name


def test_providers_of_the_promise_are_there(catalog: Catalog) -> None:
    priced = {node.vendor for node in catalog.nodes.values() if hourly(catalog, node) is not None}
    assert priced >= {
        "aws", "azure", "gcp", "oci", "coreweave", "lambda", "nebius", "runpod",
    }  # fmt: skip


def test_nodes_nobody_has_priced_have_no_price(catalog: Catalog) -> None:
    for name in ("hgx-h200-8", "dgx-h200", "mi300x-8", "mac-studio-m5u-512"):
        assert purchase_bounds(catalog, catalog.node(name)) is None


def test_unverified_memory_is_listed(catalog: Catalog) -> None:
    listed = {
        finding.name
        for finding in check(catalog)
        if finding.level == "unverified" and finding.field == "usable_memory"
    }
    assert {"l20-48", "gaudi3-128", "rtx-5070-12"} <= listed
    assert "h100-sxm-80" not in listed


def test_a_gib_is_not_a_gb(catalog: Catalog) -> None:
    assert catalog.gpu("a100-sxm-80").usable_memory == 80 * GIB
    assert catalog.gpu("h100-sxm-80").memory_bandwidth == 3_350 * 10**9


def test_engine_builds_differ_where_it_matters(catalog: Catalog) -> None:
    new, old = catalog.engine_build("b11434"), catalog.engine_build("b10434")
    assert (new.default, new.rpc_pipelines, new.mtp_has_kv) == (True, True, False)
    assert (old.default, old.rpc_pipelines, old.mtp_has_kv) == (False, False, True)
    assert new.max_devices == old.max_devices == 15


def test_every_engine_has_a_default_build_whose_rules_are_known(catalog: Catalog) -> None:
    defaults = {row.engine: row.name for row in catalog.engine_builds.values() if row.default}
    assert set(defaults) == {"llama.cpp", *GRID_ENGINES}
    assert catalog.default_build("vllm").name == versions.DEFAULT_VERSION
    assert catalog.default_build("sglang").name == sglang.DEFAULT_VERSION


def test_every_row_of_rules_of_vllm_is_a_build(catalog: Catalog) -> None:
    builds = {row.name for row in catalog.engine_builds.values() if row.engine == "vllm"}
    assert builds == {rules.since for rules in versions.VERSIONS} | {versions.DEFAULT_VERSION}
