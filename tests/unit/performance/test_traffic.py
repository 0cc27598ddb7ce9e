"""What a token reads, and how it is remembered."""

from __future__ import annotations

import dataclasses

from planner.model.weights import Weights
from planner.performance.traffic import traffic_of


def test_traffic_is_remembered_per_network_and_weights(make_network, dense_layer):
    architecture, weights = make_network(dense_layer)
    first = traffic_of(architecture, weights)
    assert traffic_of(architecture, weights) is first
    halves = Weights(
        tuple(dataclasses.replace(tensor, bytes=tensor.bytes // 2) for tensor in weights.tensors)
    )
    assert traffic_of(architecture, halves).slots[0].quantized_bytes == 5 * 10**8
    assert first.slots[0].quantized_bytes == 10**9


def test_a_token_reads_its_experts_and_a_long_pass_reads_all(make_network, expert_layer):
    architecture, weights = make_network(expert_layer)
    slot = traffic_of(architecture, weights).slots[0]
    assert slot.bytes_read(1) == (0, 10**9 + 10**9 / 8)
    assert slot.bytes_read(2)[1] == 10**9 * (2 - (7 / 8) ** 2)
    assert slot.bytes_read(512)[1] == 2 * 10**9


def test_float_and_quantized_weights_are_told_apart(make_network, dense_layer):
    architecture, weights = make_network(dense_layer)
    mixed = Weights(
        tuple(
            dataclasses.replace(tensor, type="F32" if tensor.block is None else tensor.type)
            for tensor in weights.tensors
        )
    )
    layer, output = traffic_of(architecture, mixed).slots
    assert (layer.float_bytes, layer.quantized_bytes) == (0, 10**9)
    assert (output.float_bytes, output.quantized_bytes) == (5 * 10**8, 0)
