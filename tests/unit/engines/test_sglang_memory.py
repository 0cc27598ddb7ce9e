"""SGLang's static fraction, layouts and pools."""

from __future__ import annotations

import pytest

from planner.engines.sglang.layout import Parallel, shards_of, stages
from planner.engines.sglang.memory import layout_memory
from planner.engines.sglang.settings import Settings, static_fraction
from planner.errors import EngineError
from planner.model.architecture import Mixer
from planner.model.recurrent import GatedDelta
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
