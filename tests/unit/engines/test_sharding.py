"""How weights are cut over the ranks of a layout."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.allocator import unsplit_rests
from planner.engines.rank_sizes import rank_sizes
from planner.engines.sglang.layout import split_late
from planner.engines.sharding import (
    Rank,
    Shards,
    checked_partition,
    cut_of,
    layer_shards,
    rank_frame,
    ranks_of,
    split_evenly,
)
from planner.engines.vllm.layout import Parallel, shards_of
from planner.errors import EngineError
from planner.model.architecture import (
    Architecture,
    Dense,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)
from planner.model.components import Component
from planner.model.part import Part
from planner.model.recurrent import GatedDelta, Mamba2
from planner.quantization.scheme import Scheme
from planner.units import MIB

EXPERTS = MixtureOfExperts(experts=10, used=2, intermediate=64, shared_intermediate=64)
GROUPED = Grouped(heads=16, kv_heads=2, head_dim=32)


def held(
    model: Architecture, shards: Shards, rank: Rank, *, speculative: bool
) -> Counter[Component]:
    """Weights of a rank by component, each in two bytes."""
    sizes = rank_sizes(model, Scheme("BF16"), shards, rank, speculative=speculative)
    return Counter({component: size // 2 for component, size in sizes.weights.items()})


def network(*layers: Layer, tied: bool = False) -> Architecture:
    return Architecture(
        gguf_name="llama",
        hidden=128,
        vocabulary=1000,
        context_length=1024,
        tied=tied,
        layers=layers,
    )


def elements(part: Part, index: int | None) -> int:
    return part.elements


def shapes(layer: Layer, shards: Shards, experts: int = 0) -> dict[str, tuple[int, ...]]:
    parts = layer_shards(network(layer), layer, shards, experts)
    return {part.role: part.shape for part in parts}


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [
        (61, 2, (31, 30)),
        (61, 4, (15, 15, 16, 15)),
        (61, 8, (7, 7, 8, 8, 8, 8, 8, 7)),
        (126, 4, (31, 32, 32, 31)),
        (6, 1, (6,)),
    ],
)
def test_default_partition_is_that_of_a_run(
    layers: int, stages: int, expected: tuple[int, ...]
) -> None:
    assert split_evenly(layers, stages) == expected


def test_sglang_gives_the_last_stages_more() -> None:
    assert split_late(61, 4) == (15, 15, 15, 16)


@given(st.integers(1, 200), st.integers(1, 16))
def test_every_layer_is_on_one_stage(layers: int, stages: int) -> None:
    for split in (split_evenly, split_late):
        counts = split(layers, stages)
        assert len(counts) == stages
        assert sum(counts) == layers
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("partition", [(3, 3), (3, 3, 3, 1), (5, 5, -1)])
def test_a_partition_must_be_of_the_layers(partition: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match="does not put 9 layers on 3 stages"):
        checked_partition(partition, 9, 3)


def test_kv_heads_are_copied_where_there_are_more_ranks() -> None:
    layer = Layer(mixer=GROUPED, network=Dense(intermediate=256))
    found = shapes(layer, Shards(attention=4, dense=4))
    assert found["self_attn.q_proj"] == (128, 128)
    assert found["self_attn.k_proj"] == (32, 128)
    assert found["self_attn.o_proj"] == (128, 128)
    assert found["mlp.gate_proj"] == (64, 128)
    assert found["mlp.down_proj"] == (128, 64)
    assert found["input_layernorm"] == (128,)


def test_latents_are_projected_on_every_rank() -> None:
    latent = Latent(heads=8, query_rank=48, kv_rank=32, nope_dim=16, rope_dim=8, value_dim=16)
    found = shapes(Layer(mixer=latent, network=Dense(intermediate=64)), Shards(attention=8))
    assert found["self_attn.q_a_proj"] == (48, 128)
    assert found["self_attn.kv_a_proj_with_mqa"] == (40, 128)
    assert found["self_attn.q_b_proj"] == (24, 48)
    assert found["self_attn.kv_b_proj"] == (32, 32)
    assert found["self_attn.o_proj"] == (128, 16)


def test_experts_are_cut_or_dealt_out() -> None:
    layer = Layer(mixer=GROUPED, network=EXPERTS)
    cut = shapes(layer, shards_of(Parallel(tensor_parallel=2)), 10)
    assert cut["mlp.experts.up_proj"] == (32, 128)
    assert cut["mlp.shared_experts.up_proj"] == (32, 128)
    assert cut["mlp.gate"] == (10, 128)
    dealt = shapes(layer, shards_of(Parallel(tensor_parallel=2, expert_parallel=True)), 5)
    assert dealt["mlp.experts.up_proj"] == (64, 128)
    assert dealt["mlp.shared_experts.up_proj"] == (32, 128)


def test_shared_experts_are_whole_where_data_and_expert_parallelism_meet() -> None:
    parallel = Parallel(tensor_parallel=2, data_parallel=2, expert_parallel=True)
    found = shapes(Layer(mixer=GROUPED, network=EXPERTS), shards_of(parallel), 3)
    assert found["mlp.shared_experts.up_proj"] == (64, 128)
    cut = shards_of(Parallel(tensor_parallel=2, data_parallel=2))
    assert (cut.expert_ranks, cut.expert_width, cut.shared_experts) == (1, 4, 2)


@given(st.integers(1, 8), st.integers(0, 6))
def test_every_expert_and_copy_is_on_one_rank(ranks: int, redundant: int) -> None:
    model = network(*[Layer(mixer=GROUPED, network=EXPERTS)] * 2)
    shards = Shards(expert_ranks=ranks, redundant_experts=redundant)
    classes = ranks_of(model, shards, ranks, (2,))
    assert sum(each.ranks for each in classes) == ranks
    assert sum(each.ranks * each.experts for each in classes) == 10 + redundant


def test_experts_of_mxfp4_are_padded() -> None:
    layer = Layer(mixer=GROUPED, network=EXPERTS)
    shards = Shards(expert_width=4, expert_width_multiple=32, expert_hidden_multiple=256)
    found = shapes(layer, shards, 10)
    assert found["mlp.experts.up_proj"] == (32, 256)
    assert found["mlp.experts.down_proj"] == (256, 32)


def test_vocabulary_is_padded_and_then_cut() -> None:
    model = network(Layer(mixer=GROUPED, network=Dense(intermediate=64)))
    shards = Shards(vocabulary=8)
    rank = ranks_of(model, shards, 8, (1,))[0]
    found = {part.role: part.shape for part in rank_frame(model, shards, rank)}
    assert found["embed_tokens"] == (128, 128)
    assert found["lm_head"] == (128, 128)


@pytest.mark.parametrize("tied", [True, False])
def test_embedding_is_on_the_first_stage_and_output_on_the_last(tied: bool) -> None:
    layer = Layer(mixer=GROUPED, network=Dense(intermediate=64))
    model = network(layer, layer, layer, tied=tied)
    first, middle, last = (
        held(model, Shards(), rank, speculative=False)
        for rank in ranks_of(model, Shards(), 1, (1, 1, 1))
    )
    assert first["embedding"] == last["output"] == 1024 * 128
    assert not any((first["output"], middle["embedding"], middle["output"], last["embedding"]))
    lone = ranks_of(model, Shards(), 1, (3,))[0]
    whole = held(model, Shards(), lone, speculative=False)
    assert whole["output"] == (0 if tied else 1024 * 128)


def test_mtp_blocks_are_loaded_only_to_speculate() -> None:
    layer = Layer(mixer=GROUPED, network=Dense(intermediate=64))
    model = network(layer, layer.model_copy(update={"mtp": True}))
    rank = ranks_of(model, Shards(), 1, (1,))[0]
    assert not held(model, Shards(), rank, speculative=False)["mtp"]
    assert held(model, Shards(), rank, speculative=True)["mtp"] > 128 * 256


def test_recurrent_mixers_are_cut_by_heads() -> None:
    delta = GatedDelta(key_heads=4, value_heads=8, key_dim=16, value_dim=16, kernel=4)
    found = shapes(Layer(mixer=delta, network=None), Shards(attention=4))
    assert found["linear_attn.in_proj_qkv"] == (64, 128)
    assert found["linear_attn.conv1d"] == (64, 4)
    assert found["linear_attn.A_log"] == (2,)
    assert found["linear_attn.out_proj"] == (128, 32)
    assert found["linear_attn.norm"] == (16,)


def test_groups_of_a_state_space_are_repeated_where_there_are_fewer_than_ranks() -> None:
    mamba = Mamba2(heads=8, head_dim=32, groups=1, state=16, kernel=4)
    whole = shapes(Layer(mixer=mamba, network=None), Shards())
    cut = shapes(Layer(mixer=mamba, network=None), Shards(attention=2))
    assert whole["mamba.in_proj"] == (256 + 256 + 2 * 16 + 8, 128)
    assert cut["mamba.in_proj"] == (128 + 128 + 2 * 16 + 4, 128)
    assert cut["mamba.norm"] == (128,)


@pytest.mark.parametrize(
    ("role", "cut"),
    [
        ("self_attn.o_proj", "columns"),
        ("self_attn.o_proj.bias", "whole"),
        ("self_attn.q_proj.bias", "rows"),
        ("mlp.gate", "whole"),
        ("mlp.gate_proj", "rows"),
        ("self_attn.indexer.wq_b", "whole"),
        ("self_attn.compressor.gate_proj", "whole"),
        ("self_attn.f_a_proj", "whole"),
        ("self_attn.f_b_proj", "rows"),
        ("mtp.eh_proj", "whole"),
    ],
)
def test_what_is_cut_how(role: str, cut: str) -> None:
    assert cut_of(role) == cut


def test_dense_weights_of_all_ranks_sum_up_but_for_norms() -> None:
    layer = Layer(mixer=Grouped(heads=8, kv_heads=8, head_dim=16), network=Dense(intermediate=256))
    model = network(layer, layer)
    one = held(model, Shards(), ranks_of(model, Shards(), 1, (2,))[0], speculative=False)
    shards = shards_of(Parallel(tensor_parallel=4))
    cut = held(model, shards, ranks_of(model, shards, 4, (2,))[0], speculative=False)
    assert cut["norm"] == one["norm"]
    assert all(4 * cut[part] == one[part] for part in one if part != "norm")


def test_rests_of_up_to_a_mebibyte_stay_with_large_tensors() -> None:
    def rest(*sizes: int) -> int:
        roles = ("mlp.gate_proj", "mlp.up_proj")
        parts = [Part(role, (size,), "dense") for role, size in zip(roles, sizes, strict=False)]
        return unsplit_rests(parts, 0, elements)

    assert rest(10 * MIB) == 0
    assert rest(11 * MIB) == MIB
    assert rest(12 * MIB) == 0
    assert rest(12 * MIB + 1) == 0
    assert rest(6 * MIB, 5 * MIB) == MIB
