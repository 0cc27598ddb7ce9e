"""The parts of a network: names, shapes and kinds of the weights, once per mechanism."""

from __future__ import annotations

import math

import pytest

from planner.catalog.load import load_catalog
from planner.model.architecture import (
    Compressed,
    Indexer,
    Latent,
    Layer,
    Mixer,
)
from planner.model.huggingface import architecture_from_config
from planner.model.network import Part, block_parts, distinct_blocks, frame_parts
from planner.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2
from tests.unit.samples import DENSE, EXPERTS, GROUPED, HIDDEN, network


def shapes(mixer: Mixer | None, feed_forward: object = None) -> dict[str, tuple[int, ...]]:
    layer = Layer(mixer=mixer, network=feed_forward)
    return {part.role: part.shape for part in block_parts(network(layer), layer)}


def test_a_plain_block_by_hand() -> None:
    assert shapes(GROUPED, DENSE) == {
        "input_layernorm": (8,),
        "post_attention_layernorm": (8,),
        "self_attn.q_proj": (12, 8),
        "self_attn.k_proj": (6, 8),
        "self_attn.v_proj": (6, 8),
        "self_attn.o_proj": (8, 12),
        "mlp.gate_proj": (20, 8),
        "mlp.up_proj": (20, 8),
        "mlp.down_proj": (8, 20),
    }


def test_latent_attention_by_hand() -> None:
    latent = Latent(heads=4, query_rank=7, kv_rank=6, nope_dim=3, rope_dim=2, value_dim=5)
    assert shapes(latent.model_copy(update={"indexer": Indexer(heads=2, head_dim=4)})) == {
        "input_layernorm": (8,),
        "self_attn.q_a_proj": (7, 8),
        "self_attn.q_a_layernorm": (7,),
        "self_attn.q_b_proj": (20, 7),
        "self_attn.kv_a_proj_with_mqa": (8, 8),
        "self_attn.kv_a_layernorm": (6,),
        "self_attn.kv_b_proj": (32, 6),
        "self_attn.o_proj": (8, 20),
        "self_attn.indexer.wq_b": (8, 7),
        "self_attn.indexer.wk": (4, 8),
        "self_attn.indexer.k_norm": (4,),
        "self_attn.indexer.k_norm.bias": (4,),
        "self_attn.indexer.weights_proj": (2, 8),
    }


def test_experts_are_one_part_per_matrix_with_a_copy_each() -> None:
    layer = Layer(mixer=None, network=EXPERTS.model_copy(update={"shared_intermediate": 5}))
    experts = [p for p in block_parts(network(layer), layer) if p.component == "experts"]
    assert [(part.role, part.shape, part.copies) for part in experts] == [
        ("mlp.experts.gate_proj", (5, 8), 6),
        ("mlp.experts.up_proj", (5, 8), 6),
        ("mlp.experts.down_proj", (8, 5), 6),
    ]
    assert experts[0].elements == 6 * 5 * 8


def test_biases_are_parts_of_their_own_and_no_matrices() -> None:
    layer = Layer(
        mixer=GROUPED.model_copy(update={"bias": True, "output_bias": True}),
        network=DENSE.model_copy(update={"bias": True}),
    )
    parts = {part.role: part for part in block_parts(network(layer), layer)}
    for role in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"):
        assert parts[role].linear
        assert parts[f"{role}.bias"].shape == parts[role].shape[:1]
        assert not parts[f"{role}.bias"].linear


def test_mtp_blocks_keep_roles_and_have_extras() -> None:
    plain = Layer(mixer=GROUPED, network=EXPERTS)
    extra = plain.model_copy(update={"mtp": True})
    whole = network(plain, extra, mtp_own_embedding=True, mtp_own_head=True)
    parts = block_parts(whole, extra)
    roles = [part.role for part in block_parts(whole, plain)]
    assert {part.component for part in parts} == {"mtp"}
    assert [part.role for part in parts] == [
        *roles,
        "mtp.eh_proj",
        "mtp.enorm",
        "mtp.hnorm",
        "mtp.shared_head.norm",
        "mtp.embed_tokens",
        "mtp.shared_head.head",
    ]


@pytest.mark.parametrize(
    ("mixer", "tables"),
    [
        (GatedDelta(key_heads=2, value_heads=4, key_dim=3, value_dim=5, kernel=4), {"conv1d"}),
        (KimiDelta(heads=2, head_dim=3, kernel=4), {"q_conv1d", "k_conv1d", "v_conv1d"}),
        (Lightning(heads=2, head_dim=3), set()),
        (Mamba(inner=16, state=4, rank=2, kernel=3), {"conv1d", "A_log"}),
        (Mamba2(heads=2, head_dim=3, groups=1, state=4, kernel=3), {"conv1d"}),
    ],
)
def test_convolutions_and_states_of_recurrent_mixers_are_not_linear(
    mixer: Mixer, tables: set[str]
) -> None:
    layer = Layer(mixer=mixer, network=None)
    parts = block_parts(network(layer), layer)
    flat = {p.role.split(".")[-1] for p in parts if len(p.shape) > 1 and not p.linear}
    assert flat == tables
    assert parts[-1].role.endswith(("out_proj", "o_proj"))
    assert parts[-1].shape[0] == HIDDEN


def test_the_first_output_projection_of_compressed_attention_works_within_groups() -> None:
    mixer = Compressed(
        heads=4, head_dim=6, query_rank=5, output_groups=2, output_rank=3, window=16, ratio=4
    )
    assert shapes(mixer)["self_attn.o_a_proj"] == (2 * 3, 4 * 6 // 2)
    assert shapes(mixer)["self_attn.o_b_proj"] == (8, 2 * 3)


def test_a_tied_output_is_not_in_the_frame() -> None:
    def roles(**traits: object) -> list[str]:
        layer = Layer(mixer=GROUPED, network=DENSE)
        return [part.role for part in frame_parts(network(layer, **traits))]

    assert roles() == ["embed_tokens", "norm", "lm_head"]
    assert roles(tied=True, norm_bias=True) == ["embed_tokens", "norm", "norm.bias"]


@pytest.mark.parametrize("name", list(load_catalog().models))
def test_roles_of_a_block_are_unique_and_matrices_are_flat(name: str) -> None:
    architecture = architecture_from_config(load_catalog().model(name).config)
    for layer, copies in distinct_blocks(architecture.layers):
        parts = block_parts(architecture, layer)
        assert copies >= 1
        assert len({part.role for part in parts}) == len(parts)
        assert all(len(part.shape) == 2 for part in parts if part.linear)


def test_elements_are_those_of_all_copies() -> None:
    part = Part("mlp.experts.up_proj", (3, 5), "experts", copies=7)
    assert part.elements == 7 * math.prod((3, 5))
