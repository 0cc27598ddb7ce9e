"""What llama.cpp refuses."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.engines.llama_cpp.rules import illegal
from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import Architecture, Dense, Grouped, Layer
from planner.model.huggingface import architecture_from_config


def reasons(model: str, devices: int = 4, **fields) -> tuple[str, ...]:
    architecture = architecture_from_config(load_catalog().model(model).config)
    settings = Settings(**{"context": 4096, "rpc_pipelines": True, "mtp_has_kv": False, **fields})
    return illegal(architecture, settings, devices)


@pytest.mark.parametrize(
    ("model", "devices", "fields"),
    [
        ("kimi-k2", 15, {}),
        ("kimi-k2", 1, {"context": 131072}),
        ("kimi-k2", 8, {"context": 8 * 131072, "slots": 8}),
        ("kimi-k2", 8, {"key_type": "q8_0", "value_type": "q8_0"}),
        ("llama-3.1-70b", 8, {"key_type": "q8_0", "value_type": "f16", "flash_attention": False}),
        ("gpt-oss-120b", 2, {"key_type": "q4_0", "value_type": "q4_0"}),
        ("granite-3.1-1b-a400m", 1, {"key_type": "q8_0", "value_type": "q8_0"}),
        ("granite-3.1-1b-a400m", 1, {"slots": 4}),
        ("granite-3.1-3b-a800m", 1, {"slots": 4, "key_type": "q8_0", "value_type": "q8_0"}),
    ],
)
def test_what_the_engine_takes_is_legal(model, devices, fields):
    assert reasons(model, devices, **fields) == ()


@pytest.mark.parametrize(
    ("model", "devices", "fields", "words"),
    [
        ("kimi-k2", 16, {}, "at most 15 offload devices"),
        ("kimi-k2", 0, {}, "at least one device"),
        ("kimi-k2", 8, {"context": 0}, "context (-c) must be at least 1"),
        ("kimi-k2", 8, {"context": 2**31}, "a 32-bit number"),
        ("kimi-k2", 8, {"slots": 0}, "slots (-np) must be at least 1"),
        ("kimi-k2", 8, {"slots": 257, "context": 65792}, "at most 256 slots"),
        ("kimi-k2", 8, {"ubatch": 0}, "micro-batch (-ub) must be at least 1"),
        ("kimi-k2", 8, {"batch": -1}, "batch (-b) must be at least 1"),
        ("kimi-k2", 8, {"key_type": "q8_0"}, "needs the same type for K and V"),
        ("kimi-k2", 8, {"value_type": "q9_9"}, "'q9_9' is no type of the V cache"),
        (
            "llama-3.1-70b",
            8,
            {"value_type": "q8_0", "flash_attention": False},
            "needs flash attention",
        ),
        (
            "granite-3.1-1b-a400m",
            1,
            {"slots": 4, "key_type": "q8_0", "value_type": "q8_0"},
            "aborts on a 'granitemoe' model of 24 blocks",
        ),
    ],
)
def test_what_the_engine_refuses_is_said_in_one_sentence(model, devices, fields, words):
    found = reasons(model, devices, **fields)
    assert len(found) == 1
    assert words in found[0]


def test_a_quantized_cache_needs_heads_in_whole_blocks():
    block = Layer(
        attention=Grouped(heads=8, kv_heads=2, head_dim=80),
        feed_forward=Dense(intermediate=4096),
    )
    architecture = Architecture(
        gguf_name="llama",
        hidden=640,
        vocabulary=1000,
        context_length=4096,
        tied=False,
        layers=(block, block),
    )
    settings = Settings(context=4096, key_type="q8_0", rpc_pipelines=True, mtp_has_kv=False)
    (found,) = illegal(architecture, settings, 1)
    assert "do not divide the model's 80 per head" in found
    (found,) = illegal(architecture, Settings(context=1, rpc_pipelines=True, mtp_has_kv=False), 4)
    assert "2 blocks and an output to place, fewer than 4 devices" in found
