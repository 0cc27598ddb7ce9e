"""Networks as metadata and tensor names tell them."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog.load import load_catalog
from planner.errors import FactsError, UnsupportedArchitecture
from planner.model.architecture import Architecture, Dense, Grouped, Latent, MixtureOfExperts
from planner.model.gguf import architecture_from_gguf
from planner.model.gguf_names import block_of, component_of
from planner.model.huggingface import architecture_from_config
from planner.model.tensors import gguf_tensors

LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "llama.embedding_length": 512,
    "llama.block_count": 4,
    "llama.feed_forward_length": 1024,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
}


def described(network: Architecture) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's tensors."""
    return {tensor.name: tensor.shape for tensor in gguf_tensors(network)}


def llama(**changes: Any) -> Architecture:
    """A network of four blocks."""
    config = {
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1024,
        "max_position_embeddings": 4096,
        "num_attention_heads": 8,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1000,
    }
    return architecture_from_config(config | changes)


def with_kv_heads(*heads: int) -> Architecture:
    """The network with so many KV heads in each block."""
    network = llama()
    layers = tuple(
        layer.model_copy(
            update={"mixer": Grouped(heads=8, kv_heads=count, head_dim=64)},
        )
        for layer, count in zip(network.layers, heads, strict=True)
    )
    return network.model_copy(update={"layers": layers})


def catalog(name: str) -> Architecture:
    return architecture_from_config(load_catalog().model(name).config)


def glm_metadata(network: Architecture, kv_heads: Any) -> dict[str, Any]:
    """What files of GLM-4.5-Air say."""
    return {
        "general.architecture": "glm4moe",
        "glm4moe.context_length": network.context_length,
        "glm4moe.embedding_length": 4096,
        "glm4moe.block_count": 47,
        "glm4moe.nextn_predict_layers": 1,
        "glm4moe.feed_forward_length": 10944,
        "glm4moe.attention.head_count": 96,
        "glm4moe.attention.head_count_kv": kv_heads,
        "glm4moe.attention.key_length": 128,
        "glm4moe.attention.value_length": 128,
        "glm4moe.expert_count": 128,
        "glm4moe.expert_used_count": 8,
        "glm4moe.expert_shared_count": 1,
        "glm4moe.expert_feed_forward_length": 1408,
    }


def test_a_dense_network() -> None:
    network = llama()
    assert architecture_from_gguf(LLAMA, described(network)) == network


def test_a_missing_output_is_a_tied_one() -> None:
    network = llama(tie_word_embeddings=True)
    shapes = described(network)
    assert "output.weight" not in shapes
    assert architecture_from_gguf(LLAMA, shapes).tied


def test_kv_heads_may_differ_between_blocks() -> None:
    network = with_kv_heads(2, 4, 8, 1)
    metadata = LLAMA | {"llama.attention.head_count_kv": (2, 4, 8, 1)}
    read = architecture_from_gguf(metadata, described(network))
    kv_heads = [layer.attention.kv_heads for layer in read.layers]
    assert kv_heads == [2, 4, 8, 1]
    assert read == network


@pytest.mark.parametrize("kv_heads", [8, (8,) * 47, (8,) * 46])
def test_arrays_may_leave_mtp_blocks_out(kv_heads: Any) -> None:
    network = catalog("glm-4.5-air")
    read = architecture_from_gguf(glm_metadata(network, kv_heads), described(network))
    assert read == network
    assert read.depth == 46


@pytest.mark.parametrize("count", [1, 45, 48])
def test_arrays_of_another_length_are_refused(count: int) -> None:
    network = catalog("glm-4.5-air")
    metadata = glm_metadata(network, (8,) * count)
    with pytest.raises(FactsError, match=rf"head_count_kv' has {count} values for 47 blocks"):
        architecture_from_gguf(metadata, described(network))


def test_key_length_is_width_over_heads_where_not_given() -> None:
    attention = architecture_from_gguf(LLAMA, described(llama())).layers[0].attention
    assert isinstance(attention, Grouped)
    assert attention.head_dim == 64


def test_latent_attention_of_files_before_its_own_lengths() -> None:
    """They give K and V lengths of a head under the plain keys, and one matrix for both."""
    network = catalog("deepseek-v3")
    shapes = described(network)
    for block in range(61):
        del shapes[f"blk.{block}.attn_k_b.weight"], shapes[f"blk.{block}.attn_v_b.weight"]
        shapes[f"blk.{block}.attn_kv_b.weight"] = (512, 32768)
    metadata = {
        "general.architecture": "deepseek2",
        "deepseek2.context_length": 163840,
        "deepseek2.embedding_length": 7168,
        "deepseek2.block_count": 61,
        "deepseek2.feed_forward_length": 18432,
        "deepseek2.attention.head_count": 128,
        "deepseek2.attention.head_count_kv": 128,
        "deepseek2.attention.key_length": 192,
        "deepseek2.attention.value_length": 128,
        "deepseek2.attention.q_lora_rank": 1536,
        "deepseek2.attention.kv_lora_rank": 512,
        "deepseek2.rope.dimension_count": 64,
        "deepseek2.expert_count": 256,
        "deepseek2.expert_used_count": 8,
        "deepseek2.expert_feed_forward_length": 2048,
    }
    read = architecture_from_gguf(metadata, shapes)
    assert read.layers == network.layers
    attention = read.layers[0].attention
    assert isinstance(attention, Latent)
    assert (attention.nope_dim, attention.value_dim) == (128, 128)
    assert read.assumptions == (
        "61 tensors of the file are not among those its metadata describes, e.g."
        " 'blk.0.attn_kv_b.weight'",
        "122 tensors are missing of those its metadata describes, e.g. 'blk.0.attn_k_b.weight'",
    )


def test_experts_and_dense_blocks_are_told_by_their_tensors() -> None:
    network = catalog("glm-4.5-air")
    read = architecture_from_gguf(glm_metadata(network, 8), described(network))
    assert read.layers[0].feed_forward == Dense(intermediate=10944)
    experts = read.layers[1].feed_forward
    assert isinstance(experts, MixtureOfExperts)
    assert (experts.experts, experts.shared_intermediate, experts.score_bias) == (128, 1408, True)


GEMMA = {
    "general.architecture": "gemma3",
    "gemma3.context_length": 131072,
    "gemma3.embedding_length": 5376,
    "gemma3.block_count": 62,
    "gemma3.feed_forward_length": 21504,
    "gemma3.attention.head_count": 32,
    "gemma3.attention.head_count_kv": 16,
    "gemma3.attention.key_length": 128,
    "gemma3.attention.value_length": 128,
}


@pytest.mark.parametrize(
    ("more", "full"),
    [
        ({}, set(range(62))),
        ({"sliding_window": 1024}, set(range(5, 62, 6))),
        ({"sliding_window": 1024, "sliding_window_pattern": 4}, set(range(3, 62, 4))),
        (
            {"sliding_window": 1024, "sliding_window_pattern": (False,) + (True,) * 61},
            {0},
        ),
    ],
)
def test_windows_are_on_the_layers_engines_put_them(more: dict[str, Any], full: set[int]) -> None:
    metadata = GEMMA | {f"gemma3.attention.{key}": value for key, value in more.items()}
    read = architecture_from_gguf(metadata, described(catalog("gemma3-27b")))
    windows = [layer.attention.window for layer in read.layers]
    assert {block for block, window in enumerate(windows) if window is None} == full
    assert set(windows) <= {None, 1024}
    assert read.tied
    assert read.post_norms


def test_a_table_of_rotary_factors_is_no_difference() -> None:
    shapes = described(llama()) | {"rope_freqs.weight": (32,)}
    assert architecture_from_gguf(LLAMA, shapes) == llama()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("general.architecture", None, "'general.architecture' is missing"),
        ("general.architecture", "mamba", "no rules for GGUF files of architecture 'mamba'"),
        ("llama.block_count", None, "'llama.block_count' is missing"),
        ("llama.block_count", 5, r"'blk\.4\.attn_output\.weight' is missing"),
        ("llama.block_count", 2**40, "'llama.block_count' is 1099511627776: not understood"),
        ("llama.block_count", 2**20, "'llama.block_count' is 1,048,576"),
        ("llama.block_count", -4, "'llama.block_count' is -4: not understood"),
        ("llama.block_count", 4.0, r"'llama.block_count' is 4\.0: not understood"),
        ("llama.block_count", True, "'llama.block_count' is True: not understood"),
        ("llama.attention.head_count", 0, "'llama.attention.head_count' is 0 for block 0"),
        ("llama.attention.head_count", 513, "is 513: more than the width"),
        ("llama.attention.head_count_kv", (2, 2, 2, 0), "head_count_kv' is 0 for block 3"),
        ("llama.attention.head_count_kv", ("2",) * 4, "not understood"),
        ("llama.attention.head_count_kv", (), r"is \(\): not understood"),
        ("llama.embedding_length", (512, 256), r"is \(512, 256\): not understood"),
        ("llama.attention.head_count_kv", 4, r"attn_k\.weight' is 512 x 128, .* 512 x 256"),
        ("llama.embedding_length", 1024, "by the metadata 1024 x 1000"),
        ("llama.nextn_predict_layers", 4, "'llama.nextn_predict_layers' is 4 of 4 blocks"),
        ("llama.nextn_predict_layers", "1", "nextn_predict_layers' is 1: not understood"),
    ],
)
def test_what_is_wrong_in_metadata_is_named(key: str, value: Any, message: str) -> None:
    metadata = {name: old for name, old in (LLAMA | {key: value}).items() if old is not None}
    with pytest.raises(FactsError, match=message) as caught:
        architecture_from_gguf(metadata, described(llama()))
    assert caught.value.hint


def test_mtp_blocks_are_the_last() -> None:
    shapes = described(llama()) | {"blk.1.nextn.enorm.weight": (512,)}
    with pytest.raises(FactsError, match="multi-token-prediction blocks are not the last of 4"):
        architecture_from_gguf(LLAMA, shapes)


def test_weights_the_planner_cannot_list_are_an_assumption() -> None:
    shapes = described(llama()) | {f"blk.{block}.ffn_down.bias": (512,) for block in range(4)}
    read = architecture_from_gguf(LLAMA, shapes)
    assert len(read.assumptions) == 1
    network = read.layers[0].feed_forward
    assert isinstance(network, Dense)
    assert network.bias


@pytest.mark.parametrize(
    "name", ["deepseek-v3", "gemma3-27b", "mixtral-8x22b", "gpt-oss-20b", "qwen3-235b", "glm-4.5"]
)
def test_components_are_those_of_the_tensor_list(name: str) -> None:
    network = catalog(name)
    mtp = {block for block, layer in enumerate(network.layers) if layer.mtp}
    for tensor in gguf_tensors(network):
        assert component_of(tensor.name, mtp) == tensor.component, tensor.name
        assert block_of(tensor.name) == tensor.block


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("rope_freqs.weight", "attention"),
        ("token_embd_norm.weight", "norm"),
        ("blk.3.ffn_gate.7.weight", "experts"),
        ("blk.3.ffn_gate_up_exps.weight", "experts"),
        ("blk.3.ffn_gate_inp_shexp.weight", "router"),
        ("blk.3.attn_kv_b.weight", "attention"),
        ("blk.3.attn_qkv.bias", "attention"),
        ("blk.3.ssm_in.weight", "attention"),
        ("blk.3.ssm_norm.weight", "norm"),
        ("blk.3.nextn.eh_proj.weight", "mtp"),
    ],
)
def test_further_names_have_their_component(name: str, component: str) -> None:
    assert component_of(name, ()) == component


@pytest.mark.parametrize(
    "name",
    ["v.patch_embd.weight", "blk.x.attn_q.weight", "blk.01.attn_q.weight", "blk.3.", "attn_q"],
)
def test_names_without_a_rule_are_refused(name: str) -> None:
    with pytest.raises(FactsError, match="no rule for what tensor"):
        component_of(name, ())


def test_an_unknown_architecture_names_the_known() -> None:
    with pytest.raises(UnsupportedArchitecture) as caught:
        architecture_from_gguf({"general.architecture": "rwkv7"}, {})
    assert "llama, " in caught.value.hint
