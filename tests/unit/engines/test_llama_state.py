"""Bytes of caches and states in llama.cpp, by hand."""

from __future__ import annotations

import dataclasses

from planner.engines.llama_cpp.settings import Settings
from planner.engines.llama_cpp.state import block_caches, state_bytes
from planner.model.architecture import Dense, Grouped, Layer
from planner.model.recurrent import GatedDelta, Mamba2

SETTINGS = Settings(context=1000, slots=2, rpc_pipelines=False, mtp_has_kv=True)
NETWORK = Dense(intermediate=256)
DELTA = GatedDelta(key_heads=2, value_heads=4, key_dim=64, value_dim=64, kernel=4)
STATE = 4 * (3 * 512 + 4 * 64 * 64)


def layer(mixer, **fields):
    return Layer(mixer=mixer, network=NETWORK, **fields)


ATTENTION = layer(Grouped(heads=8, kv_heads=2, head_dim=64))
NARROW = layer(Grouped(heads=8, kv_heads=1, head_dim=64))


def test_a_state_is_kept_for_every_slot_in_single_precision() -> None:
    for unified in (False, True):
        for kind in ("f16", "q8_0"):
            settings = dataclasses.replace(SETTINGS, unified=unified, key_type=kind)
            assert state_bytes(layer(DELTA), settings) == 2 * STATE


def test_a_mixer_beside_attention_adds_its_state_to_the_cache() -> None:
    beside = Mamba2(heads=4, head_dim=32, groups=1, state=16, kernel=4)
    both = layer(ATTENTION.mixer, beside=beside)
    cache, alone = block_caches([both, ATTENTION], SETTINGS)
    assert cache - alone == 2 * 4 * (3 * (128 + 32) + 128 * 16)
    assert alone == 2 * 512 * 2 * (128 + 128)


def test_blocks_without_a_mixer_keep_nothing() -> None:
    assert block_caches([layer(None), ATTENTION], SETTINGS)[0] == 0


def test_without_flash_attention_v_is_as_wide_as_the_widest_also_where_there_is_none() -> None:
    settings = dataclasses.replace(SETTINGS, flash_attention=False)
    sizes = block_caches([layer(None), ATTENTION, NARROW], settings)
    assert sizes == [2 * 512 * 2 * 128, 2 * 512 * 2 * 256, 2 * 512 * 2 * 192]


def test_a_recurrence_in_the_network_leaves_blocks_without_a_mixer_empty() -> None:
    settings = dataclasses.replace(SETTINGS, flash_attention=False)
    sizes = block_caches([layer(DELTA), layer(None), ATTENTION], settings)
    assert sizes == [2 * STATE, 0, 2 * 512 * 2 * 256]
