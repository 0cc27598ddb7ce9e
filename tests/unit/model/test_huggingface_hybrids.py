"""Configs of networks with recurrent blocks, or with blocks that leave a part out."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Dense, Grouped, Latent, MixtureOfExperts
from planner.model.huggingface import architecture_from_config
from planner.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2
from tests.unit.samples import BASE

QWEN: dict[str, Any] = {
    **BASE,
    "model_type": "qwen3_next",
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 6,
    "linear_value_head_dim": 16,
    "full_attention_interval": 2,
}
MAMBA: dict[str, Any] = {"mamba_d_state": 16, "mamba_d_conv": 4}
NEMOTRON: dict[str, Any] = {
    **BASE,
    "model_type": "nemotron_h",
    "conv_kernel": 4,
    "hybrid_override_pattern": "M*E-",
    "mamba_head_dim": 8,
    "mamba_num_heads": 12,
    "moe_intermediate_size": 32,
    "moe_latent_size": 24,
    "moe_shared_expert_intermediate_size": 40,
    "n_groups": 2,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "ssm_state_size": 16,
}


def mixers(config: dict[str, Any]) -> list[str]:
    layers = architecture_from_config(config).layers
    return [layer.mixer.kind if layer.mixer else "none" for layer in layers]


def test_every_so_manieth_layer_attends() -> None:
    assert mixers(QWEN) == ["gated_delta", "grouped"] * 2
    layer = architecture_from_config(QWEN).layers
    assert layer[0].mixer == GatedDelta(
        key_heads=2, value_heads=6, key_dim=8, value_dim=16, kernel=4
    )
    assert isinstance(layer[1].mixer, Grouped)
    assert layer[1].mixer.output_gate
    assert layer[1].mixer.qk_norm


def test_layer_types_win_over_the_interval() -> None:
    kinds = ["full_attention", "linear_attention", "linear_attention", "full_attention"]
    expected = ["grouped", "gated_delta", "gated_delta", "grouped"]
    assert mixers({**QWEN, "layer_types": kinds}) == expected


def test_qwen_has_one_mtp_block_unless_the_config_says_none() -> None:
    assert len(architecture_from_config(QWEN).unconverted_mtp) == 1
    assert architecture_from_config({**QWEN, "mtp_num_hidden_layers": 0}).unconverted_mtp == ()


def test_kimi_names_its_layers_from_one() -> None:
    linear = {"kda_layers": [1, 2, 4], "full_attn_layers": [3], "num_heads": 4, "head_dim": 16}
    config = {
        **BASE,
        "model_type": "kimi_linear",
        "linear_attn_config": {**linear, "short_conv_kernel_size": 4, "use_full_rank_gate": True},
        "kv_lora_rank": 16,
        "mla_use_output_gate": True,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4,
        "v_head_dim": 8,
        "attn_res_block_size": 12,
    }
    network = architecture_from_config(config)
    assert mixers(config) == ["kimi_delta", "kimi_delta", "latent", "kimi_delta"]
    assert network.layers[0].mixer == KimiDelta(heads=4, head_dim=16, kernel=4, full_rank_gate=True)
    assert isinstance(network.layers[2].mixer, Latent)
    assert network.layers[2].mixer.output_gate
    assert network.residual_attention


def test_minimax_lists_linear_layers_as_zero() -> None:
    config = {**BASE, "model_type": "minimax", "attn_type_list": [0, 0, 0, 1]}
    assert mixers(config) == ["lightning"] * 3 + ["grouped"]
    assert architecture_from_config(config).layers[0].mixer == Lightning(heads=4, head_dim=16)
    assert mixers({**config, "attn_type_list": [1, 1, 1, 1]}) == ["grouped"] * 4


def test_jamba_counts_periods_of_attention_and_experts() -> None:
    config = {
        **BASE,
        **MAMBA,
        "model_type": "jamba",
        "attn_layer_offset": 1,
        "attn_layer_period": 4,
        "expert_layer_offset": 1,
        "expert_layer_period": 2,
        "mamba_dt_rank": 5,
        "mamba_expand": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    }
    assert mixers(config) == ["mamba", "grouped", "mamba", "mamba"]
    layers = architecture_from_config(config).layers
    assert layers[0].mixer == Mamba(inner=128, state=16, rank=5, kernel=4)
    assert [layer.feed_forward.kind for layer in layers] == ["dense", "moe"] * 2


def test_nemotron_blocks_have_one_part_each() -> None:
    layers = architecture_from_config(NEMOTRON).layers
    assert layers[0].mixer == Mamba2(heads=12, head_dim=8, groups=2, state=16, kernel=4)
    assert [layer.mixer is None for layer in layers] == [False, False, True, True]
    assert [layer.network is None for layer in layers] == [True, True, False, False]
    experts, dense = layers[2].network, layers[3].network
    assert isinstance(experts, MixtureOfExperts)
    assert (experts.latent, experts.gated, experts.shared_intermediate) == (24, False, 40)
    assert dense == Dense(intermediate=96, gated=False)


def test_a_list_of_block_kinds_means_the_same_as_a_pattern() -> None:
    listed = {**NEMOTRON, "layers_block_type": ["mamba", "attention", "moe", "mlp"]}
    del listed["hybrid_override_pattern"], listed["num_hidden_layers"]
    assert architecture_from_config(listed) == architecture_from_config(NEMOTRON)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [("hybrid_override_pattern", "MX", "'X'"), ("layers_block_type", ["rwkv"], "'rwkv'")],
)
def test_unknown_kinds_of_blocks_are_refused(field: str, value: object, found: str) -> None:
    config = {**NEMOTRON, "hybrid_override_pattern": None, field: value}
    with pytest.raises(UnsupportedArchitecture, match=f"'{field}' has {found}"):
        architecture_from_config(config)


def searched(attention: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    blocks = [{"attention": attention, "ffn": network}]
    return {
        **BASE,
        "model_type": "nemotron-nas",
        "num_hidden_layers": 1,
        "num_key_value_heads": None,
        "intermediate_size": None,
        "block_configs": blocks,
    }


def test_searched_blocks_have_each_their_shape() -> None:
    config = searched({"n_heads_in_group": 2}, {"ffn_mult": 2.625})
    layer = architecture_from_config(config).layers[0]
    assert layer.mixer == Grouped(heads=4, kv_heads=2, head_dim=16)
    assert layer.network == Dense(intermediate=256)
    empty = architecture_from_config(searched({"no_op": True}, {"no_op": True})).layers[0]
    assert (empty.mixer, empty.network) == (None, None)


def test_searched_blocks_of_another_kind_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="'replace_with_linear'"):
        architecture_from_config(searched({"replace_with_linear": True}, {"no_op": True}))
    with pytest.raises(UnsupportedArchitecture, match="'ffn_mult' is nan"):
        architecture_from_config(searched({"no_op": True}, {"ffn_mult": float("nan")}))


def test_blocks_without_attention_or_a_network_say_so() -> None:
    network = architecture_from_config(QWEN)
    with pytest.raises(UnsupportedArchitecture, match="mixer 'gated_delta'"):
        _ = network.layers[0].attention
    with pytest.raises(UnsupportedArchitecture, match="without a feed-forward"):
        _ = architecture_from_config(NEMOTRON).layers[0].feed_forward
