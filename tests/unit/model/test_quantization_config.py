"""The quantization that configs declare: each writer's words, and what is refused."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.load import load_catalog
from planner.errors import FactsError
from planner.model.checkpoint_weights import checkpoint_weights
from planner.model.huggingface import architecture_from_config
from planner.model.quantization_config import declared_scheme, scheme_for
from planner.quantization.checkpoint_formats import (
    Affine,
    Awq,
    Gptq,
    Microscaled,
    MicroscaledWords,
    Packed,
    Plain,
    Scaled,
)
from planner.quantization.checkpoint_mixed import Exl2, Exl3, Format, Int8Rows, NormalFloat
from planner.quantization.default_schemes import MXFP4, MXFP8, NVFP4
from planner.quantization.scheme import Scheme

CONFIG = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}
QUERY = ("layers.1.self_attn.q_proj",)
UP = ("layers.1.mlp.up_proj",)
EXPERT = ("layers.1.mlp.experts.0.up_proj",)


def scheme(section: dict[str, Any], **fields: Any) -> Scheme:
    found = declared_scheme({**CONFIG, **fields, "quantization_config": section})
    assert found is not None
    return found


def query(section: dict[str, Any], **fields: Any) -> Format:
    return scheme(section, **fields).format_of("self_attn.q_proj", QUERY)


def group(weights: dict[str, Any], form: str = "", **more: Any) -> dict[str, Any]:
    fields = {"weights": weights, "targets": ["Linear"], **more}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": fields},
        "ignore": ["lm_head"],
    }


INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}
FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
STATIC = {"num_bits": 8, "type": "float", "dynamic": False}


def test_a_config_without_quantization_declares_none() -> None:
    assert declared_scheme(CONFIG) is None
    assert declared_scheme({**CONFIG, "quantization_config": None}) is None


@pytest.mark.parametrize(
    ("section", "form"),
    [
        (
            {"quant_method": "fp8", "weight_block_size": [128, 128]},
            Scaled(128, 128, name="weight_scale_inv"),
        ),
        (
            {"quant_method": "fp8", "weight_block_size": [128, 128], "scale_fmt": "ue8m0"},
            Scaled(128, 128, name="weight_scale_inv"),
        ),
        (
            {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None},
            Scaled(None, None, scale="BF16", input_scale=True),
        ),
        ({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, Scaled(1, None)),
        (group(INT4, "pack-quantized"), Packed(128)),
        (
            group({**INT4, "symmetric": False, "actorder": "group"}, "pack-quantized"),
            Packed(128, symmetric=False, group_index=True),
        ),
        (group({**INT4, "group_size": None}, "pack-quantized"), Packed(None)),
        (
            group({"num_bits": 8, "type": "int", "strategy": "channel"}, "int-quantized"),
            Scaled(1, None, "I8", "BF16"),
        ),
        (group(FP8, "float-quantized"), Scaled(1, None, scale="BF16")),
        (
            group({**FP8, "strategy": "tensor"}, "float-quantized", input_activations=STATIC),
            Scaled(None, None, scale="BF16", input_scale=True),
        ),
        (
            group({**FP8, "strategy": "block", "block_structure": [128, 128]}, "float-quantized"),
            Scaled(128, 128, scale="BF16"),
        ),
        (group({**FP8, "strategy": "group", "group_size": 32}, "mxfp8-quantized"), MXFP8),
        (group({**FP4, "group_size": 32}, "mxfp4-pack-quantized"), MXFP4),
        (group(FP4, "nvfp4-pack-quantized", input_activations={"num_bits": 4}), NVFP4),
        (
            group(FP4, "nvfp4-pack-quantized"),
            Microscaled(16, "F8_E4M3", ("weight_global_scale",)),
        ),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, NVFP4),
        ({"quant_algo": "FP8"}, Scaled(None, None, input_scale=True)),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, Awq(64)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1, "desc_act": True}, Gptq(None, 8)),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, Int8Rows()),
        (
            {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_use_double_quant": True,
            },
            NormalFloat(nested=True),
        ),
        ({"quant_method": "exl2", "bits": 4.65, "head_bits": 6}, Exl2(Fraction("4.65"))),
        ({"quant_method": "exl3", "bits": 3.5}, Exl3(Fraction("3.5"))),
        ({"bits": 4, "group_size": 64}, Affine(4)),
        ({"bits": 4, "group_size": 32, "mode": "mxfp4"}, MicroscaledWords(4, 32)),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {
                    "weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}
                },
            },
            MXFP4,
        ),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {
                    "weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"},
                    "input_tensors": {"dtype": "fp8_e4m3", "is_dynamic": False},
                },
            },
            Scaled(None, None, scale="BF16", input_scale=True),
        ),
    ],
)
def test_each_writer(section: dict[str, Any], form: Format) -> None:
    assert query(section) == form
    router = scheme(section).format_of("mlp.gate", ("layers.1.mlp.gate",))
    assert isinstance(router, Plain) is not isinstance(form, (Affine, MicroscaledWords))


@pytest.mark.parametrize(
    ("section", "kept"),
    [
        (
            {
                "quant_method": "fp8",
                "weight_block_size": [128, 128],
                "modules_to_not_convert": ["model.layers.1.self_attn.q_proj"],
            },
            True,
        ),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.0"]}, False),
        ({**group(INT4, "pack-quantized"), "ignore": ["re:.*self_attn.*"]}, True),
        ({**group(INT4, "pack-quantized"), "ignore": ["re:.*shared_experts.*"]}, False),
        ({"quant_algo": "NVFP4", "exclude_modules": ["model.layers.1.self_attn*"]}, True),
        ({"quant_algo": "NVFP4", "ignore": ["*self_attn*"]}, True),
        ({"quant_method": "awq", "modules_to_not_convert": ["self_attn"]}, True),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {r"-:.*self_attn.*": {}}}, True),
        ({"load_in_8bit": True, "llm_int8_skip_modules": ["lm_head"]}, False),
    ],
)
def test_modules_left_out_are_kept(section: dict[str, Any], kept: bool) -> None:
    assert isinstance(query(section), Plain) is kept
    assert not isinstance(scheme(section).format_of("mlp.up_proj", UP), Plain)


def test_groups_by_name_go_before_groups_by_class() -> None:
    section = group(INT4, "pack-quantized")
    section["config_groups"]["group_1"] = {
        "weights": FP8,
        "targets": ["re:.*self_attn.*"],
        "format": "float-quantized",
    }
    assert query(section) == Scaled(1, None, scale="BF16")
    assert scheme(section).format_of("mlp.up_proj", UP) == Packed(128)


def test_layers_may_have_an_algorithm_of_their_own() -> None:
    section = {
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": {
            "model.layers.1.self_attn.q_proj": {"quant_algo": "FP8"},
            "model.layers.1.mlp.experts": {"quant_algo": "W4A16_NVFP4", "group_size": 16},
        },
    }
    found = scheme(section)
    assert query(section) == Scaled(None, None, input_scale=True)
    assert found.format_of("mlp.experts.up_proj", EXPERT) == Microscaled(
        16, "F8_E4M3", ("weight_scale_2",)
    )
    assert found.format_of("mlp.up_proj", UP) == Plain()


def test_experts_of_deepseek_v4_are_declared_apart_and_scales_are_bytes() -> None:
    section = {
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
        "scale_fmt": "ue8m0",
    }
    found = scheme(section, model_type="deepseek_v4", expert_dtype="fp4")
    assert found.format_of("mlp.experts.up_proj", EXPERT) == MXFP4
    assert found.format_of("self_attn.q_proj", QUERY) == Scaled(
        128, 128, scale="F8_E8M0", name="weight_scale_inv"
    )


def test_gptq_patterns_may_change_bits_and_the_output_may_be_quantized() -> None:
    section = {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": 128,
        "lm_head": True,
        "dynamic": {r"+:.*q_proj": {"bits": 8, "group_size": 64}},
    }
    assert query(section) == Gptq(64, 8)
    assert scheme(section).format_of("lm_head", ("lm_head",)) == Gptq(128)


def test_mlx_names_modules_with_settings_of_their_own() -> None:
    section = {
        "bits": 4,
        "group_size": 64,
        "model.layers.1.self_attn.q_proj": {"bits": 8, "group_size": 32},
        "model.layers.0.mlp.up_proj": False,
        "model.embed_tokens": {"bits": 8, "group_size": 64},
    }
    found = declared_scheme({**CONFIG, "quantization": section})
    assert found is not None
    assert found.format_of("self_attn.q_proj", QUERY) == Affine(8, 32)
    assert found.format_of("mlp.up_proj", ("layers.0.mlp.up_proj",)) == Plain()
    assert found.format_of("lm_head", ("lm_head",)) == Affine(4)
    assert found.table_format(("model.embed_tokens",)) == Affine(8)


def test_the_file_of_modelopt_adds_to_the_config() -> None:
    beside = {"quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}}
    found = declared_scheme({**CONFIG, "quantization_config": {"quant_algo": "FP8"}}, beside)
    assert found is not None
    assert found.format_of("self_attn.q_proj", QUERY) == NVFP4
    alone = declared_scheme(CONFIG, beside)
    assert alone == found


@pytest.mark.parametrize(
    ("section", "quant", "declared"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", True),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "NVFP4", False),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "BF16", False),
        (group(INT4, "pack-quantized"), "INT4-W4A16-g128", True),
        (group(INT4, "pack-quantized"), "INT4-W4A16-g32", False),
        (None, "BF16", True),
        (None, "F16", False),
        (None, "AWQ", False),
    ],
)
def test_a_quantization_asked_for_is_the_declared_one_or_the_usual(
    section: dict[str, Any] | None, quant: str, declared: bool
) -> None:
    config = {**CONFIG, "quantization_config": section}
    found, own = scheme_for(config, quant, declared_scheme(config), experts=False)
    assert own is declared
    assert found.name.casefold() == quant.casefold()


@pytest.mark.parametrize("name", list(load_catalog().models))
def test_every_declaration_of_the_catalog_is_understood(name: str) -> None:
    config = load_catalog().model(name).config
    found = declared_scheme(config)
    if found is not None:
        whole = checkpoint_weights(architecture_from_config(config), found)
        assert 4 < whole.bits_per_weight < 9.1
    assert (found is None) is not ("quantization_config" in config)


def test_quantization_of_a_nested_text_config_counts() -> None:
    section = {"quant_method": "awq", "bits": 4}
    nested = {"text_config": {**CONFIG, "torch_dtype": "float16", "quantization_config": section}}
    found = declared_scheme(nested)
    assert found is not None
    assert (found.name, found.dtype) == ("AWQ", "F16")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"quant_method": "aqlm"}, "'quant_method' is 'aqlm'"),
        ({"quant_algo": "W4A8_AWQ"}, "'quant_algo' is 'W4A8_AWQ'"),
        ({"quant_algo": "NVFP4", "group_size": 32}, "'group_size' is 32 with NVFP4"),
        ({"quant_method": "gptq", "bits": 5}, "'bits' is 5"),
        ({"quant_method": "gptq"}, "no 'bits'"),
        ({"quant_method": "exl2", "bits": 40}, "'bits' is 40"),
        ({"bits": 16, "group_size": 64}, "'bits' is 16"),
        ({"quant_method": "awq", "bits": 8}, "'bits' is 8"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "'weight_block_size' is"),
        ({"quant_algo": "NVFP4", "ignore": [None]}, "'exclude_modules' lists None"),
        ({"quant_method": "fp8", "ignored_layers": [7]}, "'modules_to_not_convert' lists 7"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "af4"}, "'af4'"),
        ({"bits": 4, "group_size": 64, "mode": "lloyd"}, "'lloyd'"),
        (group({**INT4, "num_bits": 5}, "pack-quantized"), "5 bits"),
        (group({**FP8, "strategy": "token"}, "float-quantized"), "'strategy' is 'token'"),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, "quantizes no weights"),
        ({"quant_method": "quark", "global_quant_config": {}}, "'global_quant_config'"),
        ({"quant_algo": "MIXED_PRECISION", "quantized_layers": {"a": 1}}, "'quantized_layers'"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(section: dict[str, Any], said: str) -> None:
    with pytest.raises(FactsError, match=said) as caught:
        scheme(section)
    assert caught.value.hint


FIELDS = (
    "quant_method",
    "weight_block_size",
    "scale_fmt",
    "modules_to_not_convert",
    "ignore",
    "config_groups",
    "bits",
    "group_size",
    "dynamic",
    "quant_algo",
    "quantized_layers",
    "exclude_modules",
    "global_quant_config",
    "mode",
    "load_in_4bit",
    "bnb_4bit_quant_type",
    "head_bits",
    "format",
    "layer_quant_config",
    "kv_cache_scheme",
)
WORDS = (
    "fp8",
    "fbgemm_fp8",
    "compressed-tensors",
    "modelopt",
    "awq",
    "gptq",
    "mxfp4",
    "bitsandbytes",
    "quark",
    "exl2",
    "exl3",
    "mlx",
    "NVFP4",
    "MIXED_PRECISION",
    "re:.*a",
    "(.*)*",
    "*",
    "model.layers.0",
)
SCALARS = st.none() | st.booleans() | st.integers(-2, 200) | st.floats() | st.sampled_from(WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from((*FIELDS, "weights", "num_bits", "type")), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6), VALUES)
def test_any_section_is_read_or_refused(section: dict[str, Any], beside: Any) -> None:
    network = architecture_from_config(CONFIG)
    with contextlib.suppress(FactsError):
        found = declared_scheme(
            {**CONFIG, "quantization_config": section}, {"quantization": beside}
        )
        if found is not None:
            assert checkpoint_weights(network, found).total_bytes > 0
