"""Every shipped model: counted to the last parameter, named once, with a source."""

from __future__ import annotations

from collections import Counter

import pytest

from planner.catalog.load import load_catalog
from planner.catalog.schema import ModelRow
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import parameters

FAMILIES = {"llama", "qwen", "deepseek", "kimi", "glm", "gemma", "mistral", "gpt-oss", "phi"}


def rows() -> list[ModelRow]:
    return list(load_catalog().models.values())


def counted(row: ModelRow) -> int:
    return parameters(architecture_from_config(row.config))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_stated_parameters_are_the_counted_ones(row: ModelRow) -> None:
    architecture = architecture_from_config(row.config)
    assert parameters(architecture) == row.parameters
    assert architecture.assumptions == ()


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    exact = sum(counted(row) == row.parameters for row in rows())
    with capsys.disabled():
        print(f"\ncatalog: {exact} of {len(rows())} models counted to the last parameter")
    assert exact == len(rows()) >= 130


def test_a_name_with_or_without_its_owner_means_one_model() -> None:
    names = Counter(
        name
        for row in rows()
        for name in {
            part
            for text in (row.name, *row.aliases)
            for part in (text.casefold(), text.casefold().rpartition("/")[2])
        }
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("llama-3.1-8b-instruct", "llama-3.1-8b"),
        ("Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b-2507"),
        ("qwen3-coder", "qwen3-coder-480b"),
        ("DEEPSEEK-AI/DEEPSEEK-V3.1-TERMINUS", "deepseek-v3.1"),
        ("gemma-3-12b-it", "gemma3-12b"),
        ("gemma-3-12b", "gemma3-12b"),
        ("codestral", None),
    ],
)
def test_people_find_models_by_the_names_they_know(typed: str, name: str | None) -> None:
    assert load_catalog().model_names.get(typed.casefold()) == name


def test_every_row_has_a_family_a_source_and_an_id_on_the_hub() -> None:
    for row in rows():
        assert row.family == row.family.casefold() != "", row.name
        assert row.name == row.name.casefold(), row.name
        assert row.unverified == (), row.name
        assert any("/" in alias for alias in row.aliases), row.name
        assert any(found.kind == "checkpoint" for found in row.repositories), row.name
    assert {row.family for row in rows()} >= FAMILIES


def test_licenses_and_days_of_publication_have_a_source() -> None:
    for row in rows():
        if row.released is not None:
            assert "released" in row.sources, row.name
        if row.license:
            assert "license" in row.sources, row.name


def test_rows_of_a_publisher_stand_together_smallest_first() -> None:
    order = [(row.publisher, row.parameters, row.name) for row in rows()]
    for publisher in dict.fromkeys(name for name, _, _ in order):
        own = [number for number, entry in enumerate(order) if entry[0] == publisher]
        assert own == list(range(own[0], own[0] + len(own))), publisher
        assert [order[number] for number in own] == sorted(order[number] for number in own)


@pytest.mark.parametrize(
    ("name", "published", "apart"),
    [
        # totals of the hub, and what they count beside the text network
        ("gemma3-4b", 4_300_079_472, 416_866_032 + 1_152 * 2_560 + 1_152),
        ("ministral-3-8b", 8_918_026_240, 407_500_800 + 1_024 * 4_096 + 4_096**2),
        ("ministral-3-14b", 13_945_031_680, 407_500_800 + 1_024 * 5_120 + 5_120**2),
        ("mistral-small-3.1", 24_011_361_280, 407_500_800 + 1_024 * 5_120 + 5_120**2),
        ("mistral-small-4", 119_401_317_952, 407_500_800 + 1_024 * 4_096 + 4_096**2 + 36 * 528),
        ("llama-2-70b", 68_976_653_312, 80 * 64),
        ("qwen2.5-0.5b", 494_032_768, 0),
        ("granite-3.3-8b", 8_170_864_640, 0),
        ("starcoder2-15b", 15_957_889_024, 0),
        ("falcon3-10b", 10_305_653_760, 0),
        ("olmo-3-32b", 32_233_522_176, 0),
        ("qwen3-coder-480b", 480_154_875_392, 0),
        ("hunyuan-a13b", 80_393_183_232, 0),
    ],
)
def test_published_totals_are_met(name: str, published: int, apart: int) -> None:
    assert load_catalog().model(name).parameters == published - apart
