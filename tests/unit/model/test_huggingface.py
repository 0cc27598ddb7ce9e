"""Configs read as architectures: every mechanism from its fields, and clear refusals."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Dense, Grouped, Latent, MixtureOfExperts
from planner.model.huggingface import FAMILIES, architecture_from_config

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 4,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
DEEPSEEK: dict[str, Any] = {
    **LLAMA,
    "model_type": "deepseek_v3",
    "first_k_dense_replace": 1,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "topk_method": "noaux_tc",
    "v_head_dim": 128,
}
GLM: dict[str, Any] = {
    **LLAMA,
    "model_type": "glm4_moe",
    "first_k_dense_replace": 1,
    "head_dim": 128,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 128,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_nextn_predict_layers": 1,
    "use_qk_norm": False,
}
GPT_OSS: dict[str, Any] = {
    **LLAMA,
    "model_type": "gpt_oss",
    "head_dim": 64,
    "intermediate_size": 2880,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "sliding_window": 128,
}


def windows(config: dict[str, Any]) -> list[int | None]:
    attentions = [layer.attention for layer in architecture_from_config(config).layers]
    return [a.window if isinstance(a, Grouped) else None for a in attentions]


def test_grouped_attention_and_a_dense_network() -> None:
    network = architecture_from_config(LLAMA)
    assert (network.gguf_name, network.depth, network.tied) == ("llama", 4, False)
    assert network.layers[0].attention == Grouped(heads=32, kv_heads=8, head_dim=128)
    assert network.layers[0].feed_forward == Dense(intermediate=14336)


def test_a_latent_rank_means_latent_attention() -> None:
    attention = architecture_from_config(DEEPSEEK).layers[0].attention
    assert attention == Latent(
        heads=32, query_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128
    )


def test_a_full_query_projection_has_no_rank() -> None:
    attention = architecture_from_config({**DEEPSEEK, "q_lora_rank": None}).layers[0].attention
    assert isinstance(attention, Latent)
    assert attention.query_rank is None


def test_the_first_layers_may_be_dense() -> None:
    layers = architecture_from_config({**DEEPSEEK, "first_k_dense_replace": 3}).layers
    assert [layer.feed_forward.kind for layer in layers] == ["dense", "dense", "dense", "moe"]


def test_experts_may_skip_layers() -> None:
    config = {**GLM, "model_type": "qwen3_moe", "num_experts": 8, "n_routed_experts": None}
    config |= {"first_k_dense_replace": None, "num_nextn_predict_layers": None}
    listed = architecture_from_config({**config, "mlp_only_layers": [1, 2]}).layers
    stepped = architecture_from_config({**config, "decoder_sparse_step": 2}).layers
    assert [layer.feed_forward.kind for layer in listed] == ["moe", "dense", "dense", "moe"]
    assert [layer.feed_forward.kind for layer in stepped] == ["dense", "moe", "dense", "moe"]


def test_shared_experts_and_selection_biases() -> None:
    network = architecture_from_config({**DEEPSEEK, "n_shared_experts": 2}).layers[-1].feed_forward
    assert isinstance(network, MixtureOfExperts)
    assert (network.shared_intermediate, network.score_bias) == (4096, True)
    plain = {**DEEPSEEK, "model_type": "deepseek_v2", "topk_method": "greedy"}
    network = architecture_from_config(plain).layers[-1].feed_forward
    assert isinstance(network, MixtureOfExperts)
    assert not network.score_bias


def test_mtp_blocks_are_last_where_files_keep_them() -> None:
    kept, left_out = architecture_from_config(GLM), architecture_from_config(DEEPSEEK)
    assert [layer.mtp for layer in kept.layers] == [False] * 4 + [True]
    assert (kept.depth, kept.unconverted_mtp) == (4, ())
    assert [layer.mtp for layer in left_out.layers] == [False] * 4
    assert [layer.mtp for layer in left_out.unconverted_mtp] == [True]


def test_a_row_may_say_that_mtp_blocks_share_the_embedding() -> None:
    assert architecture_from_config(GLM).mtp_own_embedding
    assert not architecture_from_config({**GLM, "_mtp_own_embedding": False}).mtp_own_embedding


def test_windows_by_list_by_pattern_and_by_habit() -> None:
    listed = {**GPT_OSS, "layer_types": ["full_attention", "sliding_attention"] * 2}
    assert windows(listed) == [None, 128, None, 128]
    assert windows(GPT_OSS) == [128, None, 128, None]
    gemma = {**LLAMA, "model_type": "gemma3_text", "sliding_window": 1024}
    assert windows({**gemma, "num_hidden_layers": 7}) == [1024] * 5 + [None, 1024]
    assert windows({**gemma, "sliding_window_pattern": 3}) == [1024, 1024, None, 1024]
    assert windows({**LLAMA, "model_type": "mistral", "sliding_window": 4096}) == [4096] * 4


def test_a_window_that_is_off_is_none() -> None:
    assert windows({**LLAMA, "sliding_window": None}) == [None] * 4
    assert windows({**LLAMA, "sliding_window": 4096, "use_sliding_window": False}) == [None] * 4


def test_gpt_oss_has_biases_everywhere_and_sinks() -> None:
    layer = architecture_from_config(GPT_OSS).layers[0]
    assert isinstance(layer.attention, Grouped)
    assert isinstance(layer.feed_forward, MixtureOfExperts)
    assert layer.attention.bias
    assert layer.attention.output_bias
    assert layer.attention.sinks
    assert layer.feed_forward.router_bias
    assert layer.feed_forward.expert_bias
    assert layer.feed_forward.intermediate == 2880


def test_glm_has_biases_on_q_k_and_v_only() -> None:
    attention = architecture_from_config(GLM).layers[0].attention
    assert isinstance(attention, Grouped)
    assert attention.bias
    assert not attention.output_bias


def test_a_nested_text_network_is_found_with_its_outer_tie() -> None:
    outer = {
        "model_type": "gemma3",
        "text_config": {**LLAMA, "model_type": "gemma3_text"},
        "vision_config": {"hidden_size": 1152},
    }
    network = architecture_from_config(outer)
    assert (network.gguf_name, network.hidden, network.tied) == ("gemma3", 4096, True)
    assert not architecture_from_config({**outer, "tie_word_embeddings": False}).tied


@pytest.mark.parametrize("field", ["hidden_size", "vocab_size", "num_attention_heads"])
def test_a_missing_field_is_named(field: str) -> None:
    config = {key: value for key, value in LLAMA.items() if key != field}
    with pytest.raises(UnsupportedArchitecture, match=f"config has no '{field}'"):
        architecture_from_config(config)


@pytest.mark.parametrize("value", ["4096", -1, 0, 1.5, True, [4096], float("nan")])
def test_a_field_that_is_no_count_is_named(value: object) -> None:
    with pytest.raises(UnsupportedArchitecture, match=r"'hidden_size' is .*, not a positive whole"):
        architecture_from_config({**LLAMA, "hidden_size": value})


@pytest.mark.parametrize(
    "field",
    ["hidden_size_per_layer_input", "num_kv_shared_layers", "mamba_d_state", "linear_attn_config"],
)
def test_an_unknown_mechanism_is_refused_by_its_field(field: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match=f"fields without rules: '{field}'"):
        architecture_from_config({**LLAMA, field: 64})


def test_an_unknown_kind_of_layer_is_refused() -> None:
    config = {**GPT_OSS, "layer_types": ["linear_attention"] * 4}
    with pytest.raises(UnsupportedArchitecture, match="'layer_types' has 'linear_attention'"):
        architecture_from_config(config)


def test_too_few_layer_types_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="1 entries for 4 layers"):
        architecture_from_config({**GPT_OSS, "layer_types": ["full_attention"]})


def test_an_unknown_type_of_known_fields_is_read_with_an_assumption() -> None:
    network = architecture_from_config({**LLAMA, "model_type": "llama9", "rope_theta": 1e6})
    known = architecture_from_config(LLAMA)
    assert network.layers == known.layers
    assert network.gguf_name == "llama"
    assert known.assumptions == ()
    assert network.assumptions[0].startswith("model_type 'llama9' is not known")
    assert "nearest known family: 'llama'" in network.assumptions[0]


def test_an_unknown_type_with_strange_fields_names_them_and_the_nearest_family() -> None:
    config = {**LLAMA, "model_type": "glm5_moe", "engram_table_size": 9, "dropout": 0.1}
    with pytest.raises(UnsupportedArchitecture) as error:
        architecture_from_config(config)
    assert str(error.value).endswith("config fields not understood: 'engram_table_size'")
    assert "nearest known family: 'glm4_moe'" in error.value.hint


OWN_FIELDS: dict[str, dict[str, object]] = {
    "bailing_hybrid": {
        "layer_types": ["full_attention"] * 4,
        "linear_num_heads": 2,
        "linear_head_dim": 32,
        "linear_conv_kernel_dim": 4,
    },
    "bamba": {"layer_types": ["attention"] * 4},
    "chatglm": {"ffn_hidden_size": 128},
    "dbrx": {"ffn_config": {"ffn_hidden_size": 128, "moe_num_experts": 4, "moe_top_k": 2}},
    "falcon_h1": {
        "mamba_n_heads": 2,
        "mamba_d_ssm": 64,
        "mamba_n_groups": 1,
        "mamba_d_state": 16,
        "mamba_d_conv": 4,
    },
    "granitemoehybrid": {"layer_types": ["attention"] * 4},
    "inkling_text": {
        "conv_kernel_size": 4,
        "d_rel": 4,
        "rel_extent": 16,
        "head_dim": 16,
        "n_shared_experts": 1,
    },
    "lfm3": {"layer_types": ["full_attention"] * 4},
    "qwen4_exp_text": {
        "layer_types": ["full_attention"] * 4,
        "hc_count": 2,
        "hc_lowrank": 8,
    },
    "lfm2": {"layer_types": ["full_attention"] * 4},
    "lfm2_moe": {"layer_types": ["full_attention"] * 4},
    "gemma3n_text": {"altup_num_inputs": 4, "laurel_rank": 8},
    "mpt": {"d_model": 64},
}
"""Fields without which a config of the family says too little."""


@pytest.mark.parametrize("model_type", list(FAMILIES))
def test_every_family_reads_a_plain_config(model_type: str) -> None:
    own = OWN_FIELDS.get(model_type, {})
    network = architecture_from_config({**LLAMA, "model_type": model_type, **own})
    family = FAMILIES[model_type]
    assert network.gguf_name in (family.gguf_name, family.gguf_name_with_experts)
    assert network.depth == (8 if family.two_in_one else 4)
    assert network.assumptions == ()
