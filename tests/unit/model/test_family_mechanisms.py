"""Mechanisms of single families: weights beside the known ones, shared caches, fields per layer."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Architecture, Grouped
from planner.model.cache import cache_bytes
from planner.model.config_canonical import canonical
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import parameters
from planner.model.recurrent import Mamba, ShortConvolution

PLAIN: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 256,
    "max_position_embeddings": 512,
}
GEMMA4 = {
    **PLAIN,
    "model_type": "gemma4_text",
    "head_dim": 16,
    "global_head_dim": 16,
    "hidden_size_per_layer_input": 8,
}


def read(**fields: Any) -> Architecture:
    return architecture_from_config({**PLAIN, **fields})


def test_other_names_of_fields_stand_for_the_known_ones() -> None:
    old = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 99}
    network = architecture_from_config({**old, "model_type": "gpt2"})
    assert (network.hidden, network.depth, network.context_length) == (64, 2, 32)
    assert canonical(old, "gpt2")["intermediate_size"] == 4 * 64


def test_a_name_the_config_has_itself_stays() -> None:
    assert canonical({"n_embd": 8, "hidden_size": 64}, "llama")["hidden_size"] == 64


def test_layers_that_borrow_keys_and_values_keep_no_cache() -> None:
    whole, shared = (
        architecture_from_config({**GEMMA4, "num_kv_shared_layers": count}) for count in (0, 2)
    )
    assert parameters(whole) == parameters(shared)
    borrowed = [isinstance(x.mixer, Grouped) and x.mixer.borrowed_kv for x in shared.layers]
    assert borrowed == [False, False, True, True]
    used = [sum(group.bytes for group in cache_bytes(each, 100)) for each in (whole, shared)]
    assert used[0] == 2 * used[1]


def test_each_layer_has_an_embedding_of_its_own() -> None:
    without = architecture_from_config({**GEMMA4, "hidden_size_per_layer_input": 0})
    with_them = architecture_from_config({**GEMMA4, "vocab_size_per_layer_input": 100})
    frame = 4 * 8 * 100 + 4 * 8 * 64 + 8
    assert parameters(with_them) - parameters(without) == frame + 4 * (2 * 8 * 64 + 64)


def test_embeddings_per_layer_of_another_family_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="'hidden_size_per_layer_input'"):
        read(model_type="llama", hidden_size_per_layer_input=8)


def test_fields_of_one_layer_hold_for_that_layer() -> None:
    network = read(model_type="gemma4_text", head_dim=16, per_layer_config={"1": {"head_dim": 32}})
    dims = [x.mixer.head_dim for x in network.layers if isinstance(x.mixer, Grouped)]
    assert dims == [16, 32, 16, 16]


def test_layers_on_images_keep_no_cache_of_text() -> None:
    network = read(model_type="mllama_text_model", cross_attention_layers=[1])
    cross = [isinstance(x.mixer, Grouped) and x.mixer.cross for x in network.layers]
    assert cross == [False, True, False, False]
    plain = read(model_type="mllama_text_model", cross_attention_layers=[])
    used = [sum(group.bytes for group in cache_bytes(x, 100)) for x in (plain, network)]
    assert 3 * used[0] == 4 * used[1]


def test_convolutions_take_the_place_of_attention() -> None:
    kinds = ["conv", "full_attention", "conv", "conv"]
    network = read(model_type="lfm2", layer_types=kinds, conv_L_cache=3, intermediate_size=96)
    assert network.layers[0].mixer == ShortConvolution(channels=64, kernel=3)
    assert isinstance(network.layers[1].mixer, Grouped)
    assert sum(group.state_bytes for group in cache_bytes(network, 10)) == 3 * 2 * 64 * 4


def test_both_mixers_of_a_layer_keep_what_they_need() -> None:
    state = {"mamba_n_heads": 2, "mamba_d_ssm": 64, "mamba_n_groups": 1, "mamba_d_state": 16}
    network = read(model_type="falcon_h1", mamba_d_conv=4, **state)
    (group,) = cache_bytes(network, 10)
    assert group.bytes_per_token == 4 * 2 * 2 * 16 * 2
    assert group.state_bytes == 4 * 4 * (3 * (64 + 2 * 16) + 64 * 16)


def test_a_network_of_state_spaces_has_no_attention() -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 99, "model_type": "mamba"}
    network = architecture_from_config({**config, "state_size": 16, "time_step_rank": 4})
    expected = Mamba(inner=128, state=16, rank=4, kernel=4, norms=False)
    assert [layer.mixer for layer in network.layers] == [expected, expected]
    assert [layer.network for layer in network.layers] == [None, None]


def test_an_unknown_type_is_read_as_its_class_says() -> None:
    network = read(model_type="deepthought", architectures=["Qwen2ForCausalLM"])
    assert network.layers == read(model_type="qwen2").layers
    assert network.assumptions == (
        "model_type 'deepthought' is not known: read as 'qwen2', as its class says",
    )


def test_an_unknown_type_with_strange_fields_is_refused_whatever_its_class() -> None:
    with pytest.raises(UnsupportedArchitecture, match="'engram_table_size'"):
        read(model_type="a", architectures=["Qwen2ForCausalLM"], engram_table_size=9)


def test_kinds_of_layers_without_fields_that_describe_them_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="'layer_types' has 'linear_attention'"):
        read(model_type="llama", layer_types=["linear_attention"] * 4)


def test_a_type_whose_fields_mislead_is_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="no rules for model_type 'git'"):
        read(model_type="git")


@pytest.mark.parametrize(
    ("name", "more"),
    [("BertModel", 64 * 64 + 64), ("BertForSequenceClassification", 64 * 64 + 64 + 3 * 65)],
)
def test_the_head_of_an_encoder_is_that_of_its_class(name: str, more: int) -> None:
    fields = {"model_type": "bert", "type_vocab_size": 2, "id2label": {"0": 0, "1": 1, "2": 2}}
    network = read(architectures=[name], **fields)
    embeddings = 64 * (256 + 512 + 2) + 2 * 64
    attention = 2 * 64 * 64 + 2 * 64 * 32 + 2 * 64 + 2 * 32
    block = attention + 2 * 64 * 128 + 128 + 64 + 4 * 64
    assert parameters(network) == embeddings + 4 * block + more
    assert not network.decodes
