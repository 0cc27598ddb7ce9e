"""What mixers read and compute per token, against values computed by hand."""

from __future__ import annotations

import json

import pytest

from planner.model.architecture import Compressed, Grouped, Latent
from planner.model.huggingface import architecture_from_config
from planner.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2
from planner.performance.mixing import cache_read
from tests.reality.tables import table
from tests.unit.samples import INDEXER, LATENT, V4

LATENT_FLOPS = 2 * 128 * (2 * 512 + 64)
DEPTH = 100_000

ROWS = [
    # mixer, bytes and FLOP with 100,000 tokens cached in f16
    ("grouped", Grouped(heads=64, kv_heads=8, head_dim=128), DEPTH * 4096, DEPTH * 32_768),
    (
        "keys wider than values",
        Grouped(heads=64, kv_heads=4, head_dim=192, value_dim=128),
        DEPTH * 2560,
        DEPTH * 2 * 64 * 320,
    ),
    (
        "a window",
        Grouped(heads=64, kv_heads=8, head_dim=64, window=128),
        128 * 2048,
        128 * 4 * 64 * 64,
    ),
    (
        "features of an image",
        Grouped(heads=64, kv_heads=8, head_dim=64, cross=True),
        0,
        0,
    ),
    ("latent", Latent(**LATENT), DEPTH * 1152, DEPTH * LATENT_FLOPS),
    (
        "latent of the best 2,048, scored by an indexer",
        Latent(**LATENT, indexer=INDEXER, top_k=2048),
        2048 * 1152 + DEPTH * 256,
        2048 * LATENT_FLOPS + DEPTH * 2 * 64 * 128,
    ),
    ("latent that reuses a choice", Latent(**LATENT, top_k=2048), 2048 * 1152, 2048 * LATENT_FLOPS),
    (
        "compressed, all groups of 128",
        Compressed(**V4, ratio=128),
        (128 + 781) * 1024,
        (128 + 781) * 4 * 64 * 512,
    ),
    (
        "compressed, the best 512 groups of 4",
        Compressed(**V4, ratio=4, overlaps=True, indexer=INDEXER, top_k=512),
        (128 + 512) * 1024 + 25_000 * 256,
        (128 + 512) * 4 * 64 * 512 + 25_000 * 2 * 64 * 128,
    ),
    (
        "gated delta",
        GatedDelta(key_heads=16, value_heads=32, key_dim=128, value_dim=128, kernel=4),
        2 * 4 * 548_864,
        8 * 548_864,
    ),
    ("Kimi delta", KimiDelta(heads=32, head_dim=128, kernel=4), 8 * 561_152, 8 * 561_152),
    ("lightning", Lightning(heads=64, head_dim=128), 8 * 1_048_576, 8 * 1_048_576),
    ("mamba", Mamba(inner=8192, state=16, rank=256, kernel=4), 8 * 155_648, 8 * 155_648),
    (
        "mamba 2",
        Mamba2(heads=64, head_dim=64, groups=8, state=128, kernel=4),
        8 * 542_720,
        8 * 542_720,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_mixer_costs_what_was_computed_by_hand(row) -> None:
    _, mixer, size, flops = row
    assert cache_read(mixer, DEPTH, "f16") == (size, flops)


def test_a_quantized_cache_is_read_in_fewer_bytes_and_a_state_is_not() -> None:
    grouped, delta = ROWS[0][1], ROWS[9][1]
    assert cache_read(grouped, 1000, "q8_0").bytes == 1000 * 2 * 1088
    assert cache_read(delta, 1000, "q8_0") == cache_read(delta, 1_000_000, "f16")


def test_no_config_reads_less_with_more_tokens_cached() -> None:
    rows = table("model_parameters.csv")
    for row in rows:
        layers = architecture_from_config(json.loads(row["config"])).layers
        for mixer in {layer.mixer for layer in layers} - {None}:
            costs = [cache_read(mixer, depth, "f16") for depth in (0, 1, 4096, 262_144)]
            assert sorted(costs) == costs, row["id"]
            assert (costs[-1].flops > 0) != getattr(mixer, "cross", False), row["id"]
