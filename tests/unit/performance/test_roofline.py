"""Seconds per slot, by hand and as properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.performance.roofline import (
    local_hop,
    network_hop,
    slot_seconds,
    soft_maximum,
)

EFFICIENCY, KV, OVERHEAD, BAND = 0.8653, 0.4482, 7.746e-5, 0.129
"""Of the geforce class, as in catalogs/calibration/devices.toml."""
shared_fixtures = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_a_dense_layer_takes_its_bytes_over_the_reached_bandwidth_plus_overhead_and_cache(
    make_network, make_gpu, dense_layer
):
    architecture, weights = make_network(dense_layer)
    layer, _ = slot_seconds(architecture, weights, make_gpu(), depth=4096, kv_type="f16")
    cache_bytes = 4096 * 2 * 8 * 128 * 2
    flops = 4096 * 4 * 32 * 128
    cache = soft_maximum(cache_bytes / (1e12 * KV), flops / (1e14 * 0.3))
    expected = 1e9 / (1e12 * EFFICIENCY) + OVERHEAD + cache
    assert layer.best == pytest.approx(expected, rel=1e-9)
    weights_and_overhead = 1e9 / (1e12 * EFFICIENCY) + OVERHEAD
    low_cache = soft_maximum(cache_bytes * (1 + BAND) / (1e12 * KV), flops / (1e14 * 0.15))
    assert layer.low == pytest.approx(weights_and_overhead * (1 + BAND) + low_cache, rel=1e-9)


def test_the_output_is_the_last_slot_and_has_neither_overhead_nor_cache(
    make_network, make_gpu, dense_layer
):
    architecture, weights = make_network(dense_layer, dense_layer)
    seconds = slot_seconds(architecture, weights, make_gpu(), depth=100_000, kv_type="f16")
    assert len(seconds) == 3
    assert seconds[-1].best == pytest.approx(5e8 / (1e12 * EFFICIENCY), rel=1e-9)


def test_a_tied_output_reads_the_token_embedding(make_network, make_gpu, dense_layer):
    architecture, weights = make_network(dense_layer, tied=True)
    *_, output = slot_seconds(architecture, weights, make_gpu(), depth=1, kv_type="f16")
    assert output.best == pytest.approx(7e8 / (1e12 * EFFICIENCY), rel=1e-9)


def test_multi_token_prediction_blocks_take_no_time(make_network, make_gpu, dense_layer):
    mtp = dense_layer.model_copy(update={"mtp": True})
    architecture, weights = make_network(dense_layer, mtp)
    first, second, output = slot_seconds(
        architecture, weights, make_gpu(), depth=4096, kv_type="f16"
    )
    assert (second.low, second.best, second.high) == (0, 0, 0)
    assert first.best > output.best > 0


def test_routed_experts_are_read_by_their_share_and_slow_the_whole_network_down(
    make_network, make_gpu, expert_layer
):
    architecture, weights = make_network(expert_layer)
    layer, output = slot_seconds(architecture, weights, make_gpu(), depth=0, kv_type="f16")
    read = 1e9 + 1e9 * 8 / 64
    assert layer.best == pytest.approx(read / (1e12 * EFFICIENCY) + OVERHEAD, rel=1e-9)
    assert output.best == pytest.approx(5e8 / (1e12 * EFFICIENCY), rel=1e-9)
    spread = math.exp(math.hypot(math.log(1.6 / 1.0), math.log(1 + BAND)))
    assert layer.low == pytest.approx(layer.best * spread, rel=1e-9)


def test_a_window_stops_the_cache_from_growing(make_network, make_gpu, windowed_layer):
    architecture, weights = make_network(windowed_layer)
    at = [
        slot_seconds(architecture, weights, make_gpu(), depth=depth, kv_type="f16")[0].best
        for depth in (512, 1024, 100_000)
    ]
    assert at[0] < at[1] == at[2]


def test_a_latent_cache_is_one_row_per_token_shared_by_all_heads(
    make_network, make_gpu, latent_layer
):
    architecture, weights = make_network(latent_layer)
    gpu = make_gpu(dense_fp16=1e18)
    empty, full = (
        slot_seconds(architecture, weights, gpu, depth=depth, kv_type="f16")[0]
        for depth in (0, 131_072)
    )
    assert full.best - empty.best == pytest.approx(131_072 * 576 * 2 / (1e12 * 0.5), rel=1e-6)
    assert full.low - empty.low == pytest.approx(131_072 * 576 * 2 / (1e12 * 0.25), rel=1e-6)


def test_attention_arithmetic_bounds_a_latent_cache_on_a_slow_processor(
    make_network, make_gpu, latent_layer
):
    architecture, weights = make_network(latent_layer)
    gpu = make_gpu(dense_fp16=1e12)
    empty, full = (
        slot_seconds(architecture, weights, gpu, depth=depth, kv_type="f16")[0]
        for depth in (0, 131_072)
    )
    assert full.best - empty.best == pytest.approx(131_072 * 2 * 64 * 1088 / 0.3e12, rel=1e-3)


def test_a_quantized_cache_is_read_faster(make_network, make_gpu, dense_layer):
    architecture, weights = make_network(dense_layer)
    f16, q8 = (
        slot_seconds(architecture, weights, make_gpu(), depth=65_536, kv_type=kind)[0].best
        for kind in ("f16", "q8_0")
    )
    read = 65_536 * 2 * 8 * 128 * (2 - 34 / 32) / (1e12 * KV)
    assert f16 - q8 == pytest.approx(read, rel=1e-2)


def test_hops_are_the_prior_inside_a_machine_and_the_row_between_machines(ethernet):
    assert local_hop().best == pytest.approx(239.6e-6)
    hop = network_hop(ethernet)
    assert (hop.low, hop.best, hop.high) == (1.5e-3, 0.6e-3, 0.25e-3)


@shared_fixtures
@given(
    depth=st.integers(0, 200_000),
    more=st.integers(1, 100_000),
    bandwidth=st.integers(50, 8000),
    speed_class=st.sampled_from(["geforce", "hbm", "apple", "none"]),
    compute=st.one_of(st.none(), st.floats(1e12, 1e15)),
)
def test_deeper_is_slower_more_bandwidth_is_faster_and_low_is_the_longest(
    make_network,
    make_gpu,
    dense_layer,
    latent_layer,
    expert_layer,
    depth,
    more,
    bandwidth,
    speed_class,
    compute,
):
    architecture, weights = make_network(dense_layer, latent_layer, expert_layer)
    changes = {"speed_class": speed_class, "dense_fp16": compute}
    gpu = make_gpu(memory_bandwidth=bandwidth * 10**9, **changes)
    faster = make_gpu(memory_bandwidth=(bandwidth + 50) * 10**9, **changes)

    def times(device, tokens):
        return slot_seconds(architecture, weights, device, depth=tokens, kv_type="f16")

    for here, deeper, quicker in zip(
        times(gpu, depth), times(gpu, depth + more), times(faster, depth), strict=True
    ):
        assert here.low >= here.best >= here.high > 0
        for case in ("low", "best", "high"):
            assert getattr(deeper, case) >= getattr(here, case) > getattr(quicker, case)
