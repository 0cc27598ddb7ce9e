"""Time to first token, by hand and as properties."""

from __future__ import annotations

import itertools

import pytest

from planner.performance.prefill import prefill_seconds

RATE = 1e14 * 1.408 / (1 + 1.401)
"""FLOP/s of 100 TFLOP/s in the geforce class, quantized."""
HOP = 2.407e-3
ELEMENTS = 4096 * (10**9 * 32 // 34 // 4096)


def one_ubatch(tokens: int, size: int, share: float = 0.5) -> float:
    """Seconds of one layer: matrices, and attention over half the prompt at `share` of the rate."""
    arithmetic = size * (2 * ELEMENTS + tokens // 2 * 4 * 32 * 128 / share) / RATE
    reading = 1e9 / (1e12 * 0.8653)
    return (arithmetic**4 + reading**4) ** 0.25


def test_one_device_takes_its_ubatches_one_after_the_other(make_network, make_gpu, dense_layer):
    architecture, weights = make_network(dense_layer)
    ttft = prefill_seconds(
        architecture, weights, [(make_gpu(), 0, 2)], tokens=2048, ubatch=512, networks=[]
    )
    output = 5e8 / (1e12 * 0.8653)
    assert ttft.best == pytest.approx(4 * one_ubatch(2048, 512) + output, rel=1e-9)
    assert ttft.low == pytest.approx(2.249 * 4 * one_ubatch(2048, 512, 0.25) + output, rel=1e-9)


def test_equal_stages_take_ubatches_plus_stages_less_one_steps(make_network, make_gpu, dense_layer):
    architecture, weights = make_network(*[dense_layer] * 4)
    gpu = make_gpu()
    stages = [(gpu, 0, 1), (gpu, 1, 2), (gpu, 2, 3), (gpu, 3, 5)]
    ttft = prefill_seconds(
        architecture, weights, stages, tokens=4096, ubatch=512, networks=[None] * 3
    )
    step = one_ubatch(4096, 512) + HOP
    assert ttft.best == pytest.approx((8 + 4 - 1) * step + 5e8 / (1e12 * 0.8653), rel=1e-9)


def test_the_slowest_stage_sets_the_pace(make_network, make_gpu, dense_layer):
    architecture, weights = make_network(*[dense_layer] * 4)
    gpu = make_gpu()

    def ttft(*bounds: int) -> float:
        stages = [(gpu, a, b) for a, b in itertools.pairwise(bounds)]
        return prefill_seconds(
            architecture, weights, stages, tokens=8192, ubatch=512, networks=[None]
        ).best

    assert ttft(0, 2, 5) < ttft(0, 3, 5)


def test_the_pessimists_stages_take_turns_where_overlap_was_never_measured(
    make_network, make_gpu, dense_layer, expert_layer, ethernet
):
    def low(layer, network, gpu):
        architecture, weights = make_network(layer, layer)
        return prefill_seconds(
            architecture,
            weights,
            [(gpu, 0, 1), (gpu, 1, 3)],
            tokens=51_200,
            ubatch=512,
            networks=[network],
        )

    seen = low(dense_layer, None, make_gpu())
    assert seen.low < 3 * seen.best
    for case in (
        low(dense_layer, ethernet, make_gpu()),
        low(expert_layer, None, make_gpu()),
        low(dense_layer, None, make_gpu(speed_class="none")),
    ):
        assert case.low > 4 * case.best


def test_a_network_costs_two_crossings_of_the_activations(
    make_network, make_gpu, dense_layer, ethernet
):
    architecture, weights = make_network(dense_layer, dense_layer)
    stages = [(make_gpu(), 0, 1), (make_gpu(), 1, 3)]

    def best(network):
        return prefill_seconds(
            architecture, weights, stages, tokens=512, ubatch=512, networks=[network]
        ).best

    sent = 2 * 512 * 4096 * 4 / (100e9 / 8 * 0.3)
    assert best(ethernet) - best(None) == pytest.approx(sent, rel=1e-6)


def test_every_expert_is_read_once_a_ubatch_is_long(make_network, make_gpu, expert_layer):
    architecture, weights = make_network(expert_layer)
    gpu = make_gpu(memory_bandwidth=10**10)

    def best(tokens):
        return prefill_seconds(
            architecture, weights, [(gpu, 0, 2)], tokens=tokens, ubatch=512, networks=[]
        ).best - 5e8 / (1e10 * 0.8653)

    assert best(1) == pytest.approx(1.45 * (1e9 + 1e9 / 8) / (1e10 * 0.8653), rel=1e-3)
    assert best(512) == pytest.approx(1.45 * 2e9 / (1e10 * 0.8653), rel=1e-2)


def test_flash_attention_shortens_a_long_prompt(make_network, make_gpu, dense_layer):
    architecture, weights = make_network(dense_layer)

    def ttft(flash_attention):
        return prefill_seconds(
            architecture,
            weights,
            [(make_gpu(), 0, 2)],
            tokens=100_000,
            ubatch=512,
            networks=[],
            flash_attention=flash_attention,
        )

    fused, plain = ttft(True), ttft(False)
    assert fused.best < plain.best
    assert plain.low > plain.best > plain.high > 0
