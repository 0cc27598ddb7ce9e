"""Rows of the shipped models and quantizations: names, references, order."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.catalog.schema import ModelRow
from planner.errors import UnknownName
from planner.model.huggingface import architecture_from_config
from planner.quantization.gguf_mixes import MIXES

PAGE_ORDER = [
    "IQ2_XXS",
    "IQ2_M",
    "IQ3_XXS",
    "Q2_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q4_0",
    "IQ4_XS",
    "Q4_1",
    "Q4_K_S",
    "IQ4_NL",
    "Q4_K_M",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "Q8_0",
]
WINDOWS = {
    "kimi-k2": 131_072,
    "deepseek-r1": 163_840,
    "deepseek-v3": 163_840,
    "qwen3-235b": 40_960,
    "qwen3-30b-a3b": 40_960,
    "llama-3.1-70b": 131_072,
    "llama-3.1-405b": 131_072,
    "gpt-oss-20b": 131_072,
    "gpt-oss-120b": 131_072,
    "glm-4.5": 131_072,
    "glm-4.5-air": 131_072,
    "gemma3-27b": 131_072,
    "mixtral-8x22b": 65_536,
}


def models() -> list[ModelRow]:
    return list(load_catalog().models.values())


@pytest.mark.parametrize(("name", "window"), WINDOWS.items())
def test_windows_are_those_of_the_published_configs(name: str, window: int) -> None:
    row = load_catalog().model(name)
    assert row.name == name
    assert architecture_from_config(row.config).context_length == window


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("moonshotai/Kimi-K2-Instruct", "kimi-k2"),
        ("META-LLAMA/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("Kimi-K2-Instruct", "kimi-k2"),
        ("qwen3-235b-a22b", "qwen3-235b"),
    ],
)
def test_published_ids_find_their_model(alias: str, name: str) -> None:
    assert load_catalog().model(alias).name == name


def test_a_misspelt_model_gets_near_names() -> None:
    with pytest.raises(UnknownName) as error:
        load_catalog().model("kimi-k3x")
    assert "kimi-k2" in error.value.hint


def test_every_named_quantization_is_a_row() -> None:
    catalog = load_catalog()
    for row in models():
        named = {row.recommended} | {q for r in row.repositories for q in r.quantizations}
        assert named <= set(catalog.quantizations), row.name


def test_every_gguf_row_has_rules_and_every_mix_a_row() -> None:
    rows = {q.name for q in load_catalog().quantizations.values() if q.kind == "gguf"}
    assert rows == set(MIXES) - {"F32"}


def test_the_pages_quantizations_come_first_in_their_order() -> None:
    rows = [q for q in load_catalog().quantizations.values() if q.kind == "gguf"]
    assert [q.name for q in rows if q.nominal_bits is not None] == PAGE_ORDER
    assert [q.name for q in rows][: len(PAGE_ORDER)] == PAGE_ORDER


@pytest.mark.parametrize("kind", ["gguf", "checkpoint"])
def test_no_two_quantizations_of_a_kind_rank_alike(kind: str) -> None:
    ranks = [q.rank for q in load_catalog().quantizations.values() if q.kind == kind]
    assert len(set(ranks)) == len(ranks) > 0


def test_kimi_has_the_total_of_the_requirements_page() -> None:
    """Parameters, 62,495,192 FP8 scales and 61 x 56 rotary buffers."""
    row = load_catalog().model("kimi-k2")
    assert row.page_parameters == row.parameters + 62_495_192 + 61 * 56
