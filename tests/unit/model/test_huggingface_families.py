"""Families whose networks differ between layers or from Llama, and hostile configs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Compressed, Dense, Grouped, Latent, MixtureOfExperts
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import mtp_parameters, parameters
from tests.unit.samples import BASE

EXPERTS: dict[str, Any] = {"moe_intermediate_size": 32, "num_experts_per_tok": 2}
LATENT: dict[str, Any] = {
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
}
LONGCAT: dict[str, Any] = {
    "model_type": "longcat_flash",
    "expert_ffn_hidden_size": 2048,
    "ffn_hidden_size": 12288,
    "hidden_size": 6144,
    "kv_lora_rank": 512,
    "max_position_embeddings": 131072,
    "moe_topk": 12,
    "n_routed_experts": 512,
    "num_attention_heads": 64,
    "num_layers": 28,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 131072,
    "zero_expert_num": 256,
}
COMMAND_R_PLUS: dict[str, Any] = {
    "model_type": "cohere",
    "hidden_size": 12288,
    "intermediate_size": 33792,
    "max_position_embeddings": 131072,
    "num_attention_heads": 96,
    "num_hidden_layers": 64,
    "num_key_value_heads": 8,
    "use_qk_norm": True,
    "vocab_size": 256000,
}
HUNYUAN: dict[str, Any] = {
    "model_type": "hunyuan_v1_moe",
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 3072,
    "max_position_embeddings": 32768,
    "moe_intermediate_size": [3072] * 32,
    "moe_topk": [8] * 32,
    "num_attention_heads": 32,
    "num_experts": 64,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_shared_expert": [1] * 32,
    "tie_word_embeddings": True,
    "use_qk_norm": True,
    "vocab_size": 128167,
}


@pytest.mark.parametrize(
    ("config", "total"),
    [(LONGCAT, 561_862_880_256), (COMMAND_R_PLUS, 103_810_674_688), (HUNYUAN, 80_393_183_232)],
)
def test_further_families_keep_their_count(config: dict[str, Any], total: int) -> None:
    """Counts of our own; published are the rounded 560 B, 104 B and 80 B."""
    network = architecture_from_config(config)
    assert parameters(network) + mtp_parameters(network) == total


def test_fields_that_gemma_3_leaves_out_are_the_reference_modules_own() -> None:
    """The whole, tower included, is published as 4.3 B; the last digits are our own count."""
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240}
    text |= {"num_hidden_layers": 34, "sliding_window": 1024}
    whole, vision_tower, projector = 4_300_079_472, 416_866_032, 1152 * 2560 + 1152
    network = architecture_from_config({"model_type": "gemma3", "text_config": text})
    assert parameters(network) == whole - vision_tower - projector


def grouped(config: dict[str, Any]) -> list[Grouped]:
    found = [layer.attention for layer in architecture_from_config(config).layers]
    return [attention for attention in found if isinstance(attention, Grouped)]


def test_a_longcat_layer_is_two_blocks() -> None:
    first, second = architecture_from_config(LONGCAT).layers[:2]
    assert isinstance(first.feed_forward, MixtureOfExperts)
    assert (first.feed_forward.dense_intermediate, first.feed_forward.idle_experts) == (12288, 256)
    assert second.feed_forward == Dense(intermediate=12288)


def test_gemma_4_shares_keys_and_values_in_its_full_layers() -> None:
    kinds = ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
    config = {
        **BASE,
        **EXPERTS,
        "model_type": "gemma4_text",
        "attention_k_eq_v": True,
        "enable_moe_block": True,
        "global_head_dim": 32,
        "head_dim": 16,
        "layer_types": kinds,
        "num_experts": 8,
        "num_global_key_value_heads": 1,
        "sliding_window": 512,
    }
    looks = grouped(config)
    assert [(a.window, a.shared_kv, a.kv_heads, a.head_dim) for a in looks] == [
        (512, False, 2, 16)
    ] * 3 + [(None, True, 1, 32)]
    network = architecture_from_config(config)
    assert (network.expert_norms, network.layer_scale, network.tied) == (3, True, True)
    experts = network.layers[0].feed_forward
    assert isinstance(experts, MixtureOfExperts)
    assert (experts.dense_intermediate, experts.router_scales) == (96, True)


def test_mimo_has_other_heads_in_its_windows() -> None:
    config = {
        **BASE,
        **EXPERTS,
        "model_type": "mimo_v2_flash",
        "head_dim": 24,
        "hybrid_layer_pattern": [0, 1, 1, 0],
        "moe_layer_freq": [0, 1, 1, 1],
        "n_routed_experts": 8,
        "sliding_window": 128,
        "swa_num_key_value_heads": 4,
        "v_head_dim": 16,
    }
    looks = [(a.window, a.kv_heads, a.value_dim, a.sinks) for a in grouped(config)]
    assert looks == [(None, 2, 16, True), *[(128, 4, 16, True)] * 2, (None, 2, 16, True)]
    network = architecture_from_config(config)
    assert [layer.feed_forward.kind for layer in network.layers] == ["dense", *["moe"] * 3]
    assert [layer.feed_forward.kind for layer in network.unconverted_mtp] == ["dense"] * 3


def test_step_gates_heads_and_has_more_of_them_in_its_windows() -> None:
    config = {
        **BASE,
        "model_type": "step3p5",
        "attention_other_setting": {"num_attention_heads": 6, "num_attention_groups": 3},
        "layer_types": ["full_attention", "sliding_attention"] * 2,
        "sliding_window": 512,
    }
    looks = [(a.heads, a.kv_heads, a.head_gate) for a in grouped(config)]
    assert looks == [(4, 2, True), (6, 3, True)] * 2


def test_indexers_may_be_shared_between_layers() -> None:
    config = {**BASE, **LATENT, "model_type": "glm_moe_dsa", "index_n_heads": 2}
    config |= {"index_head_dim": 8, "index_topk_freq": 2, "index_skip_topk_offset": 1}
    listed = {**config, "indexer_types": ["full", "shared", "shared", "full"]}

    def own(config: dict[str, Any]) -> list[bool]:
        found = [layer.attention for layer in architecture_from_config(config).layers]
        return [isinstance(a, Latent) and a.indexer is not None for a in found]

    assert own(config) == [True, False, True, False]
    assert own(listed) == [True, False, False, True]
    assert own({**config, "index_topk_freq": None}) == [True] * 4


def test_deepseek_v4_compresses_by_layer_and_hashes_the_first() -> None:
    config = {
        **BASE,
        **EXPERTS,
        "model_type": "deepseek_v4",
        "compress_ratios": [0, 128, 4, 128, 0],
        "hc_mult": 4,
        "head_dim": 32,
        "index_head_dim": 8,
        "index_n_heads": 2,
        "n_routed_experts": 8,
        "num_hash_layers": 1,
        "o_groups": 2,
        "o_lora_rank": 16,
        "q_lora_rank": 24,
        "sliding_window": 128,
    }
    network = architecture_from_config(config)
    looks = [layer.mixer for layer in network.layers if isinstance(layer.mixer, Compressed)]
    assert [a.ratio for a in looks] == [0, 128, 4, 128]
    assert [a.indexer is not None for a in looks] == [False, False, True, False]
    experts = [layer.feed_forward for layer in network.layers]
    chosen = [(e.by_token, e.score_bias) for e in experts if isinstance(e, MixtureOfExperts)]
    assert chosen == [(True, False), *[(False, True)] * 3]
    assert network.residual_streams == 4
    with pytest.raises(UnsupportedArchitecture, match="'compress_ratios' has 'x'"):
        architecture_from_config({**config, "compress_ratios": ["x"] * 4})


def test_layers_of_unlike_experts_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="'moe_topk' is"):
        architecture_from_config({**HUNYUAN, "moe_topk": [8, 4] * 16})


def test_more_heads_than_channels_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="'num_attention_heads' is 65, more than"):
        architecture_from_config({**BASE, "model_type": "llama", "num_attention_heads": 65})


@pytest.mark.parametrize("field", ["num_hidden_layers", "num_nextn_predict_layers"])
def test_absurd_numbers_of_blocks_are_refused_at_once(field: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match="config has 1000000000 "):
        architecture_from_config({**BASE, "model_type": "llama", field: 10**9})
    with pytest.raises(UnsupportedArchitecture, match=f"'{field}' is 1000000000000; engines"):
        architecture_from_config({**BASE, "model_type": "llama", field: 10**12})


def test_no_more_experts_are_used_than_there_are() -> None:
    with pytest.raises(UnsupportedArchitecture, match="config has 8 experts, of which 9 are used"):
        architecture_from_config(
            {
                **BASE,
                "model_type": "mixtral",
                "num_local_experts": 8,
                "num_experts_per_tok": 9,
            }
        )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**18) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELDS = sorted({*BASE, *EXPERTS, *LATENT, *LONGCAT, *HUNYUAN, "layer_types", "sliding_window"})
FIELDS += ["attn_type_list", "block_configs", "compress_ratios", "hybrid_override_pattern"]
FIELDS += ["linear_attn_config", "sparse_attention_config", "text_config", "layers_block_type"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=6), st.booleans())
def test_any_config_is_read_or_refused(changes: dict[str, Any], known: bool) -> None:
    config = {**BASE, "model_type": "llama" if known else "new", **changes}
    try:
        assert parameters(architecture_from_config(config)) > 0
    except UnsupportedArchitecture as error:
        assert error.hint  # noqa: PT017
