"""What llama.cpp makes of a network, and what it refuses."""

from __future__ import annotations

import pytest

from planner.engines.llama_cpp import rules
from planner.engines.llama_cpp.loaded import as_loaded, settings_of
from planner.engines.llama_cpp.memory import SplitMemory
from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import Architecture, Dense, Grouped, Layer
from planner.model.weights import gguf_weights

SETTINGS = Settings(context=8192, rpc_pipelines=False, mtp_has_kv=True)


def network(name: str, *windows: int | None, **changes: object) -> Architecture:
    attention = Grouped(heads=4, kv_heads=2, head_dim=64).model_copy(update=changes)
    return Architecture(
        gguf_name=name,
        hidden=256,
        vocabulary=1000,
        context_length=8192,
        tied=False,
        layers=tuple(
            Layer(
                mixer=attention.model_copy(update={"window": window}),
                network=Dense(intermediate=512),
            )
            for window in windows
        ),
    )


def windows(of: Architecture) -> list[int | None]:
    return [layer.attention.window for layer in as_loaded(of).layers]


def test_windows_stay_where_the_engine_honours_them() -> None:
    assert windows(network("gemma2", 512, None)) == [512, None]
    assert windows(network("phi3", 512, None)) == [None, None]


def test_windows_of_exaone_4_need_its_64_blocks() -> None:
    assert windows(network("exaone4", *[512, None] * 32))[:2] == [512, None]
    assert windows(network("exaone4", 512, None)) == [None, None]


def test_a_network_without_windows_is_itself() -> None:
    plain = network("llama", None, None)
    assert as_loaded(plain) is plain


def test_grok_runs_without_flash_attention_whatever_is_asked() -> None:
    assert not settings_of(network("grok", None), SETTINGS).flash_attention
    assert settings_of(network("llama", None), SETTINGS) is SETTINGS


def test_grok_has_no_quantized_values() -> None:
    settings = Settings(
        context=8192, key_type="q8_0", value_type="q8_0", rpc_pipelines=False, mtp_has_kv=True
    )
    (reason,) = rules.illegal(network("grok", None), settings, devices=1)
    assert "'grok'" in reason
    assert not rules.illegal(network("llama", None), settings, devices=1)


@pytest.mark.parametrize("name", ["phi3", "olmo2", "bailingmoe2"])
def test_heads_that_do_not_fill_the_hidden_state_are_refused_where_the_loader_does(
    name: str,
) -> None:
    (reason,) = rules.illegal(network(name, None, head_dim=128), SETTINGS, devices=1)
    assert "256, not 512" in reason
    assert not rules.illegal(network(name, None), SETTINGS, devices=1)
    assert not rules.illegal(network("llama", None, head_dim=128), SETTINGS, devices=1)


def test_dots_has_a_kv_head_per_head() -> None:
    (reason,) = rules.illegal(network("dots1", None), SETTINGS, devices=1)
    assert "KV heads" in reason


def cache(name: str, *, flash: bool, **changes: object) -> list[int]:
    of = network(name, None, None, **changes)
    wide = of.layers[1].model_copy(
        update={"mixer": of.layers[1].attention.model_copy(update={"kv_heads": 4})}
    )
    of = of.model_copy(update={"layers": (of.layers[0], wide)})
    settings = Settings(context=8192, flash_attention=flash, rpc_pipelines=False, mtp_has_kv=True)
    return list(SplitMemory(of, gguf_weights(of, "F16"), settings).kv_bytes_per_slot)


def test_without_flash_attention_v_is_as_wide_as_in_the_widest_layer() -> None:
    cell = 2 * 64 * 8192
    assert cache("llama", flash=True) == [cell * 4, cell * 8, 0]
    assert cache("llama", flash=False) == [cell * 6, cell * 8, 0]


def test_v_heads_may_be_narrower_than_k_heads() -> None:
    cell = 2 * 8192
    assert cache("mimo2", flash=True, value_dim=32) == [
        cell * 2 * (64 + 32),
        cell * 4 * (64 + 32),
        0,
    ]
