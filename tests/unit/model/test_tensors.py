"""Parameters against published totals, and the shape of the tensor list."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.model.architecture import Architecture
from planner.model.huggingface import architecture_from_config
from planner.model.tensors import (
    active_parameters,
    gguf_tensors,
    mtp_parameters,
    parameters,
)

KIMI_ROTARY_BUFFERS = 61 * 56
DEEPSEEK_FP8_SCALES = 41_540_496

PUBLISHED = {
    # Safetensors totals published on Hugging Face, less what is no weight of the text network.
    "kimi-k2": 1_026_408_235_864 - KIMI_ROTARY_BUFFERS,
    "deepseek-r1": 684_531_386_000 - DEEPSEEK_FP8_SCALES - 13_463_426_304,
    "deepseek-v3": 684_531_386_000 - DEEPSEEK_FP8_SCALES - 13_463_426_304,
    "qwen3-235b": 235_093_634_560,
    "qwen3-30b-a3b": 30_532_122_624,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "gpt-oss-20b": 20_914_757_184,
    "gpt-oss-120b": 116_829_156_672,
    "glm-4.5": 358_337_791_296 - 5_539_962_272,
    "glm-4.5-air": 110_468_824_832 - 3_616_573_568,
    "gemma3-27b": 27_432_406_640 - 423_060_336,
    "mixtral-8x22b": 140_630_071_296,
}

ACTIVE = {
    # Whole embedding counted / left out. Linear weights per token of Kimi K2 by a header audit of
    # 2026-09-26: 31,686,066,176, to which norms and router biases (1,029,632) are added.
    "kimi-k2": (32_861_500_928, 31_686_066_176 + 1_029_632),
    "deepseek-v3": (37_552_297_472, 36_625_618_432),
    "qwen3-235b": (22_190_763_520, 21_568_433_664),
    "gpt-oss-120b": (5_711_982_912, 5_132_849_472),
    "gpt-oss-20b": (4_187_440_704, 3_608_307_264),
    "glm-4.5": (33_632_266_144, 32_856_319_904),
    "mixtral-8x22b": (39_161_468_928, 38_960_142_336),
    "llama-3.1-405b": (405_853_388_800, 403_752_042_496),
}


def architecture(name: str) -> Architecture:
    return architecture_from_config(load_catalog().model(name).config)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_parameters_equal_the_published_total(name: str) -> None:
    assert parameters(architecture(name)) == PUBLISHED[name]


@pytest.mark.parametrize("name", list(ACTIVE))
def test_active_parameters_with_and_without_the_embedding(name: str) -> None:
    network = architecture(name)
    counted = active_parameters(network), active_parameters(network, embedding=False)
    assert counted == ACTIVE[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deepseek-v3", 13_463_426_304),
        ("glm-4.5", 5_539_962_272),
        ("glm-4.5-air", 3_616_573_568),
        ("kimi-k2", 0),
    ],
)
def test_mtp_parameters_count_blocks_that_files_leave_out(name: str, expected: int) -> None:
    assert mtp_parameters(architecture(name)) == expected


def test_a_shared_mtp_embedding_is_not_stored() -> None:
    """GLM 4.6 is GLM 4.5 without an embedding and a head of its own: published 356,785,898,816."""
    config = {**load_catalog().model("glm-4.5").config, "_mtp_own_embedding": False}
    network = architecture_from_config(config)
    assert parameters(network) + mtp_parameters(network) == 356_785_898_816


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_tensors_are_in_the_quantizers_order(name: str) -> None:
    tensors = gguf_tensors(architecture(name))
    keys = [(-1 if t.block is None else t.block, t.name) for t in tensors]
    assert keys == sorted(keys)
    assert len({t.name for t in tensors}) == len(tensors)


@pytest.mark.parametrize(
    ("name", "count"), [("kimi-k2", 1096), ("deepseek-r1", 1086), ("gpt-oss-120b", 687)]
)
def test_the_number_of_tensors_is_that_of_real_files(name: str, count: int) -> None:
    assert len(gguf_tensors(architecture(name))) == count


def test_a_tied_network_has_no_output_tensor() -> None:
    names = {tensor.name for tensor in gguf_tensors(architecture("gemma3-27b"))}
    assert "token_embd.weight" in names
    assert "output.weight" not in names


def test_routed_experts_are_nearly_all_of_kimi() -> None:
    tensors = gguf_tensors(architecture("kimi-k2"))
    routed = sum(t.elements for t in tensors if t.component == "experts")
    assert routed == 1_014_686_023_680
