"""SGLang's static fraction, layouts and pools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.catalog import load_catalog
from planner.engines.graphs import GRAPHS_PER_LAYER
from planner.engines.sglang.layout import Parallel, shards_of, stages, weight_shards
from planner.engines.sglang.memory import layout_memory
from planner.engines.sglang.settings import (
    VERSIONS,
    Settings,
    rules_of,
    static_fraction,
    step_sizes,
)
from planner.engines.sharding import expert_hidden, expert_width
from planner.errors import EngineError
from planner.model.architecture import Mixer
from planner.model.huggingface import architecture_from_config
from planner.model.recurrent import GatedDelta
from planner.model.row_scheme import scheme_of
from planner.units import GIB, MIB
from tests.unit.engines.small_networks import BF16, FULL, LATENT, network

SETTINGS = Settings(context_length=4096)


@pytest.mark.parametrize(
    ("mixer", "parallel", "reserve"),
    [
        (FULL, Parallel(), 512 + 12_288 + 128 + 2 * 256 + 8 * 58),
        (FULL, Parallel(tensor_parallel=8), 512 + 12_288 + 1024 + 2 * 512 + 8 * 58),
        (LATENT, Parallel(tensor_parallel=8), 512 + 12_288 + 1024 + 2 * 512 + 1536),
        (
            LATENT,
            Parallel(tensor_parallel=8, attention_data_parallel=8),
            512 + 12_288 + 1024 + 2 * 512 + 1536 + 512 * 8 * 9 // 2,
        ),
    ],
)
def test_the_automatic_fraction(mixer: Mixer, parallel: Parallel, reserve: int) -> None:
    """By hand, MiB: 58 token counts up to 8192 have prefill graphs."""
    memory = 80 * GIB
    expected = round(1 - reserve * MIB / memory, 3)
    assert static_fraction(network(mixer), parallel, SETTINGS, memory) == expected


def test_large_devices_keep_ten_gibibytes() -> None:
    settings = Settings(context_length=4096, chunked_prefill=2048)
    found = static_fraction(network(FULL), Parallel(), settings, 80 * GIB)
    assert found == round(70 / 80, 3)
    deepep = Settings(context_length=4096, chunked_prefill=2048, deepep=True)
    assert static_fraction(network(FULL), Parallel(), deepep, 80 * GIB) == round(68 / 80, 3)


def test_a_fraction_that_is_asked_for_is_taken() -> None:
    settings = Settings(context_length=4096, static_fraction=0.5)
    assert static_fraction(network(FULL), Parallel(), settings, GIB) == 0.5


def test_attention_replicas_share_the_gpus() -> None:
    parallel = Parallel(tensor_parallel=8, attention_data_parallel=8, expert_parallel=8)
    shards = shards_of(parallel)
    assert parallel.ranks == 8
    assert (shards.attention, shards.vocabulary, shards.dense) == (1, 1, 8)
    assert (shards.expert_ranks, shards.expert_width) == (8, 1)


def test_latents_of_replicas_hold_as_many_tokens_each() -> None:
    def sequences(replicas: int) -> float:
        parallel = Parallel(tensor_parallel=8, attention_data_parallel=replicas)
        settings = Settings(context_length=4096, static_fraction=0.8)
        return layout_memory(
            network(*[LATENT] * 8), BF16, parallel, settings, 80 * GIB
        ).sequences()[1]

    assert sequences(8) == pytest.approx(8 * sequences(1), rel=0.02)


def test_pool_is_the_fraction_less_the_weights() -> None:
    settings = Settings(context_length=4096, static_fraction=0.8)
    memory = layout_memory(network(*[FULL] * 4), BF16, Parallel(), settings, 24 * GIB)
    (rank,) = memory.ranks
    assert rank.budget.best == int((24 * GIB - rank.outside.best) * 0.8)
    assert rank.headroom.best == rank.budget.best - rank.loaded.best
    assert rank.token_bytes == 4 * 4096
    assert memory.tokens.best == rank.headroom.best // (4 * 4096)


def test_windows_get_a_share_of_tokens_and_states_of_memory() -> None:
    window = FULL.model_copy(update={"window": 128})
    delta = GatedDelta(key_heads=16, value_heads=32, key_dim=128, value_dim=128, kernel=4)
    settings = Settings(context_length=4096, static_fraction=0.8)

    def rank_of(*mixers: Mixer) -> tuple[float, int]:
        found = layout_memory(network(*mixers), BF16, Parallel(), settings, 24 * GIB).ranks[0]
        return float(found.token_bytes), found.state_bytes

    assert rank_of(FULL, window) == (4096 * 1.8, 0)
    assert rank_of(window, window) == (4096 * 2, 0)
    assert rank_of(delta, FULL) == (4096, 3 * 8192 * 2 + 32 * 128 * 128 * 4)


def test_a_partition_must_be_of_the_layers() -> None:
    model = network(*[FULL] * 4)
    assert stages(model, Parallel(pipeline_parallel=3)) == (1, 1, 2)
    with pytest.raises(EngineError, match="does not put 4 layers on 2 stages"):
        stages(model, Parallel(pipeline_parallel=2, partition=(1, 2)))


def test_replicas_of_attention_share_out_a_chunk() -> None:
    """Of 8192 tokens each of 8 replicas works on 1024; the network sees those of all."""

    def working(replicas: int) -> int:
        parallel = Parallel(tensor_parallel=8, attention_data_parallel=replicas)
        settings = Settings(context_length=4096, chunked_prefill=8192, graph_batch=1)
        found = layout_memory(network(LATENT), BF16, parallel, settings, 80 * GIB)
        graphs = GRAPHS_PER_LAYER.best
        return found.ranks[0].working.best - graphs

    width, hidden = 4096 // 8, 2048
    assert working(1) == 8192 * (3 * width + 15 * hidden // 4) * 2
    assert working(8) == 1024 * (3 * 8 * width + 15 * hidden // 4 + 2 * 8 * hidden) * 2


def test_the_fraction_is_chosen_for_the_whole_chunk() -> None:
    settings = Settings(context_length=4096, chunked_prefill=8192)
    parallel = Parallel(tensor_parallel=8, attention_data_parallel=8)
    assert step_sizes(parallel, settings, 80 * GIB)[0] == 8192
    other = replace(settings, chunked_prefill=1024)
    found = static_fraction(network(LATENT), parallel, settings, 80 * GIB)
    assert found < static_fraction(network(LATENT), parallel, other, 80 * GIB)


@pytest.mark.parametrize(("ranks", "width"), [(1, 2944), (4, 768), (8, 384)])
def test_experts_in_mxfp4_are_padded(ranks: int, width: int) -> None:
    """gpt-oss: 2880 channels, 720 and 360 per rank, to multiples of 128; hidden 2880 to 3072."""
    row = load_catalog().model("gpt-oss-120b")
    architecture = architecture_from_config(row.config)
    scheme, _ = scheme_of(row, architecture, "MXFP4")
    parallel = Parallel(tensor_parallel=ranks)
    shards = weight_shards(scheme, parallel)
    assert expert_width(2880, shards) == width
    assert expert_hidden(2880, shards) == 3072
    found = layout_memory(architecture, scheme, parallel, SETTINGS, 80 * GIB)
    experts = dict(found.ranks[0].weights)["experts"]
    matrices = 36 * 128 * 3 * width * 3072
    assert experts >= matrices * 17 // 32
    assert experts < matrices * 17 // 32 * 1.01
    assert weight_shards(BF16, parallel) == shards_of(parallel)


def test_versions_without_rules_are_refused() -> None:
    assert rules_of("0.5.23") is VERSIONS[-1]
    for version, words in {"0.4.9": "no rules for SGLang 0.4.9", "latest": "no version"}.items():
        settings = replace(SETTINGS, version=version)
        with pytest.raises(EngineError, match=words):
            layout_memory(network(FULL), BF16, Parallel(), settings, 80 * GIB)
