"""What a sequence keeps per layer, against values computed by hand for each kind of mixer."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from planner.errors import FactsError
from planner.model.architecture import (
    Compressed,
    Dense,
    Grouped,
    Indexer,
    Latent,
    Layer,
    Mixer,
)
from planner.model.cache import cache_bytes, element_bytes, layer_cache
from planner.model.huggingface import architecture_from_config
from planner.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2
from tests.reality.tables import table
from tests.unit.samples import INDEXER, LATENT, V4, network

GROWING: list[tuple[str, Mixer | None, str, Fraction | int, int, int]] = [
    # mixer, growth, f16 bytes per token, of the full window, of the state in single precision
    ("no mixer", None, "nothing", 0, 0, 0),
    ("grouped", Grouped(heads=64, kv_heads=8, head_dim=128), "context", 4096, 0, 0),
    (
        "keys wider than values",
        Grouped(heads=64, kv_heads=4, head_dim=192, value_dim=128),
        "context",
        2 * 4 * (192 + 128),
        0,
        0,
    ),
    (
        "values from the projection of keys",
        Grouped(heads=32, kv_heads=4, head_dim=512, shared_kv=True),
        "context",
        2 * 2 * 4 * 512,
        0,
        0,
    ),
    (
        "window",
        Grouped(heads=64, kv_heads=8, head_dim=64, window=128),
        "window",
        0,
        2048 * 128,
        0,
    ),
    (
        "grouped with index keys",
        Grouped(
            heads=64,
            kv_heads=4,
            head_dim=128,
            indexer=Indexer(heads=4, head_dim=128, on_latent=False),
        ),
        "context",
        2 * (2 * 4 * 128 + 128),
        0,
        0,
    ),
    ("latent", Latent(**LATENT), "context", 1152, 0, 0),
    ("latent with index keys", Latent(**LATENT, indexer=INDEXER), "context", 1408, 0, 0),
    ("window only, compressed kind", Compressed(**V4), "window", 0, 2 * 512 * 128, 0),
    (
        "large groups",
        Compressed(**V4, ratio=128),
        "context",
        Fraction(1024, 128),
        131072,
        4 * 2 * 128 * 512,
    ),
    (
        "small groups that overlap, with an indexer",
        Compressed(**V4, ratio=4, overlaps=True, indexer=INDEXER),
        "context",
        Fraction(1024 + 256, 4),
        131072,
        4 * (2 * 8 * 1024 + 2 * 8 * 256),
    ),
    (
        "gated delta (Qwen3-Next)",
        GatedDelta(key_heads=16, value_heads=32, key_dim=128, value_dim=128, kernel=4),
        "constant",
        0,
        0,
        4 * (3 * 8192 + 32 * 128 * 128),
    ),
    (
        "Kimi delta (Kimi Linear)",
        KimiDelta(heads=32, head_dim=128, kernel=4),
        "constant",
        0,
        0,
        4 * (3 * 3 * 4096 + 32 * 128 * 128),
    ),
    (
        "lightning (MiniMax Text)",
        Lightning(heads=64, head_dim=128),
        "constant",
        0,
        0,
        4 * 1_048_576,
    ),
    (
        "mamba (Jamba Mini)",
        Mamba(inner=8192, state=16, rank=256, kernel=4),
        "constant",
        0,
        0,
        4 * (3 * 8192 + 131_072),
    ),
    (
        "mamba 2 (Nemotron 3 Nano)",
        Mamba2(heads=64, head_dim=64, groups=8, state=128, kernel=4),
        "constant",
        0,
        0,
        4 * (3 * 6144 + 524_288),
    ),
]


@pytest.mark.parametrize("row", GROWING, ids=lambda row: row[0])
def test_each_kind_of_mixer_keeps_what_was_computed_by_hand(
    row: tuple[str, Mixer | None, str, Fraction | int, int, int],
) -> None:
    _, mixer, growth, per_token, window, state = row
    cache = layer_cache(mixer)
    found = (
        cache.growth,
        cache.bytes_per_token("f16"),
        cache.window_bytes("f16"),
        cache.state_bytes(),
    )
    assert found == (growth, per_token, window, state)


def test_a_window_holds_no_more_than_the_sequence_has() -> None:
    cache = layer_cache(Grouped(heads=8, kv_heads=1, head_dim=64, window=128))
    sizes = [cache.rows_bytes(tokens, "f16") for tokens in (1, 128, 129, 100_000)]
    assert sizes == [256, 256 * 128, 256 * 128, 256 * 128]


def test_only_whole_groups_of_tokens_have_a_row() -> None:
    cache = layer_cache(Compressed(**V4, ratio=128))
    window = 1024 * 128
    assert cache.rows_bytes(127, "f16") == 1024 * 127
    assert cache.rows_bytes(128, "f16") == window + 1024
    assert cache.rows_bytes(1000, "f16") == window + 7 * 1024


FULL = Layer(
    mixer=Grouped(heads=4, kv_heads=2, head_dim=16), network=Dense(intermediate=128), mtp=False
)


def test_layers_that_keep_the_same_are_one_group_and_mtp_blocks_keep_nothing() -> None:
    mtp = FULL.model_copy(update={"mtp": True})
    (group,) = cache_bytes(network(FULL, FULL, mtp), 10, "f16")
    assert (group.mixer, group.layers, group.bytes) == ("grouped", 2, 2 * 10 * 128)


def test_embedding_models_keep_nothing() -> None:
    (group,) = cache_bytes(network(FULL, decodes=False), 10, "f16")
    assert (group.growth, group.bytes) == ("nothing", 0)


def test_state_and_index_keys_have_types_of_their_own() -> None:
    delta = Layer(mixer=KimiDelta(heads=2, head_dim=16, kernel=4), network=None)
    sparse = Layer(mixer=Latent(**LATENT, indexer=INDEXER), network=None)
    state, keys = cache_bytes(
        network(delta, sparse), 1, "bf16", index_dtype="fp8-scaled", state_dtype="bf16"
    )
    assert state.state_bytes == 2 * (3 * 3 * 32 + 2 * 16 * 16)
    assert keys.bytes_per_token == 1152 + 132


def test_an_8_bit_cache_is_a_byte_per_element_with_or_without_scales() -> None:
    assert element_bytes("fp8", 576) == 576
    assert element_bytes("fp8-scaled", 192) == 192 + 8
    assert element_bytes("q8_0", 64) == 68
    with pytest.raises(FactsError, match="unknown GGUF storage type"):
        element_bytes("fp5", 64)


def test_every_known_config_has_a_cache_that_never_shrinks() -> None:
    rows = table("model_parameters.csv")
    assert len(rows) >= 150
    for row in rows:
        found = architecture_from_config(json.loads(row["config"]))
        short, long = (cache_bytes(found, tokens) for tokens in (1_000, 100_000))
        assert sum(group.layers for group in short) == found.depth, row["id"]
        for before, after in zip(short, long, strict=True):
            assert before.bytes <= after.bytes, row["id"]
            assert (after.bytes > before.bytes) >= (after.growth == "context"), row["id"]
            assert before.bytes >= before.state_bytes, row["id"]
