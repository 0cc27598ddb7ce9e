"""Memory of devices under contiguous splits: sums, ends, padding and the `-ts` rule."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.load import load_catalog
from planner.engines.llama_cpp.memory import SplitMemory, device_of_slot
from planner.engines.llama_cpp.settings import Settings
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from planner.units import MIB

B11434 = {"rpc_pipelines": True, "mtp_has_kv": False}
B10434 = {"rpc_pipelines": False, "mtp_has_kv": True}


def split_memory(model: str, quant: str = "Q4_K_M", **fields) -> SplitMemory:
    architecture = architecture_from_config(load_catalog().model(model).config)
    settings = Settings(**{"context": 131072, **B11434, **fields})
    return SplitMemory(architecture, gguf_weights(architecture, quant), settings)


def mib(memory) -> tuple[int, ...]:
    return tuple(part // MIB for part in memory)


@pytest.mark.parametrize(
    ("build", "pipelined", "first", "others", "host"),
    [(B10434, False, 380, 366, 156), (B11434, True, 946, 862, 652)],
)
def test_kimi_k2_on_eight_devices_is_what_both_builds_print(build, pipelined, first, others, host):
    memory = split_memory("kimi-k2", **build)
    stops = [8, 16, 24, 32, 40, 48, 55, 62]
    devices = [
        mib(memory.device(start, stop, devices=8, pipelined=pipelined))
        for start, stop in zip([0, *stops], stops, strict=False)
    ]
    assert [weights for weights, _, _ in devices] == [
        72764, 77456, 76066, 77456, 77456, 76066, 69684, 64222,
    ]  # fmt: skip
    assert [cache for _, cache, _ in devices] == [*[1152] * 6, 1008, 864]
    assert [compute for _, _, compute in devices] == [first, *[others] * 7]
    assert mib(memory.host(devices=8, pipelined=pipelined)) == (630, 0, host)


def test_eight_users_take_eight_caches_and_the_same_compute():
    one, eight = split_memory("kimi-k2"), split_memory("kimi-k2", context=8 * 131072, slots=8)
    for window in [(0, 8), (8, 16), (55, 62)]:
        single = one.device(*window, devices=8, pipelined=True)
        several = eight.device(*window, devices=8, pipelined=True)
        assert several.kv_cache == 8 * single.kv_cache
        assert several.compute == single.compute


@pytest.mark.parametrize("model", ["kimi-k2", "glm-4.5", "gemma3-27b", "gpt-oss-120b"])
def test_every_loaded_byte_is_on_one_device_or_the_host(model):
    memory = split_memory(model)
    architecture = architecture_from_config(load_catalog().model(model).config)
    weights = gguf_weights(architecture, "Q4_K_M")
    mtp = {index for index, layer in enumerate(architecture.layers) if layer.mtp}
    stored = sum(-(-t.bytes // 32) * 32 for t in weights.tensors if t.block not in mtp)
    twice = memory.host(devices=2, pipelined=True).weights if architecture.tied else 0
    half = memory.slots // 2
    parts = [(0, half), (half, memory.slots)]
    devices = [memory.device(*part, devices=2, pipelined=True) for part in parts]
    host = memory.host(devices=2, pipelined=True)
    assert sum(device.weights for device in devices) + host.weights == stored + twice
    assert sum(device.kv_cache for device in devices) == sum(memory.kv_bytes_per_slot)
    assert sum(device.weights for device in devices) == sum(memory.weight_bytes_per_slot)


def test_an_mtp_block_takes_a_slot_no_weights_and_in_the_older_build_a_cache():
    newer, older = split_memory("glm-4.5"), split_memory("glm-4.5", **B10434)
    assert newer.slots == 94
    assert newer.weight_bytes_per_slot[92] == 0
    assert newer.kv_bytes_per_slot[92] == 0
    assert older.kv_bytes_per_slot[92] == older.kv_bytes_per_slot[91] > 0


def test_pipelining_needs_two_devices_and_no_tensor_rules():
    memory = split_memory("llama-3.1-70b")
    rules = split_memory("llama-3.1-70b", tensor_rules=True)
    copies = memory.device(20, 40, devices=2, pipelined=True)
    single = memory.device(20, 40, devices=2, pipelined=False)
    assert copies.compute > single.compute
    assert rules.device(20, 40, devices=2, pipelined=True) == single
    whole = (0, memory.slots)
    assert memory.device(*whole, devices=1, pipelined=True) == memory.device(
        *whole, devices=1, pipelined=False
    )


def test_a_device_with_the_output_alone_reserves_the_logits_of_its_slots():
    memory = split_memory("llama-3.1-70b", slots=4, context=8192, **B10434)
    device = memory.device(80, 81, devices=2, pipelined=False)
    assert device.kv_cache == 0
    assert 4 * 4 * 128256 < device.compute < 8 * MIB


def test_cuda_pads_the_rows_of_mla_keys_only():
    """Kimi K2: attn_k_b rows of 128 elements in Q5_0 lack 384: 12 blocks of 22 B a layer."""
    memory = split_memory("kimi-k2")
    assert memory.cuda_padding(0, 8) == 8 * 12 * 22
    assert memory.cuda_padding(61, 62) == 0
    assert split_memory("llama-3.1-70b").cuda_padding(0, 81) == 0


@given(st.lists(st.integers(1, 40), min_size=1, max_size=15))
def test_integer_layer_counts_are_given_back_as_they_are(counts):
    owner = device_of_slot(counts, sum(counts))
    assert [owner.count(device) for device in range(len(counts))] == counts


def test_equal_shares_may_tip_at_ties_as_the_engine_does():
    """Kimi K2 over 8 equal shares: the fourth device has one layer less, the seventh one more."""
    owner = device_of_slot([1] * 8, 62)
    assert [owner.count(device) for device in range(8)] == [8, 8, 8, 7, 8, 8, 8, 7]


def test_compute_depends_on_the_window_as_if_computed_anew():
    choice = random.Random(3)
    seen = split_memory("gemma3-27b", **B10434)
    for _ in range(200):
        first, stop = sorted(choice.sample(range(seen.slots + 1), 2))
        seen.device(first, stop, devices=4, pipelined=False)
    for _ in range(40):
        first, stop = sorted(choice.sample(range(seen.slots + 1), 2))
        fresh = split_memory("gemma3-27b", **B10434)
        assert fresh.device(first, stop, devices=4, pipelined=False) == seen.device(
            first, stop, devices=4, pipelined=False
        )
