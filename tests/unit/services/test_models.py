"""Models as people compare them: what they are, and which are asked for."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import Any

import pytest

from planner.catalog.load import load_catalog
from planner.errors import ConflictingOptions, UnknownName
from planner.services.models import Model, Network, Wanted, describe, select


def names(**wanted: Any) -> list[str]:
    return [model.row.name for model in select(load_catalog(), Wanted(**wanted))]


def network(name: str) -> Network:
    found = describe(load_catalog(), load_catalog().model(name)).network
    assert found is not None
    return found


def test_nothing_asked_is_every_model_by_publisher_and_parameters() -> None:
    found = select(load_catalog(), Wanted())
    assert {model.row.name for model in found} == set(load_catalog().models)
    keys = [(m.row.publisher.casefold(), m.row.parameters, m.row.name) for m in found]
    assert keys == sorted(keys)


WANTED: list[dict[str, Any]] = [
    {"family": "qwen"},
    {"publisher": "Z.ai"},
    {"min_parameters": 70 * 10**9},
    {"max_parameters": 400 * 10**9},
    {"moe": True},
    {"moe": False},
    {"min_context": 200_000},
]


def holds(model: Model, wanted: dict[str, Any]) -> bool:
    (field, value), row, network = *wanted.items(), model.row, model.network
    assert network is not None
    return {
        "family": row.family == value,
        "publisher": row.publisher == value,
        "min_parameters": row.parameters >= value if field == "min_parameters" else True,
        "max_parameters": row.parameters <= value if field == "max_parameters" else True,
        "moe": (network.active_parameters < row.parameters) == value,
        "min_context": network.context >= value if field == "min_context" else True,
    }[field]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_a_filter_keeps_what_it_says_and_nothing_else(wanted: dict[str, Any]) -> None:
    kept = names(**wanted)
    assert 0 < len(kept) < len(load_catalog().models)
    every = select(load_catalog(), Wanted())
    assert kept == [model.row.name for model in every if holds(model, wanted)]


@pytest.mark.parametrize("first", WANTED, ids=str)
@pytest.mark.parametrize("second", WANTED, ids=str)
def test_filters_are_joined_by_and(first: dict[str, Any], second: dict[str, Any]) -> None:
    if first.keys() & second.keys():
        return
    both = names(**first, **second)
    assert set(both) == set(names(**first)) & set(names(**second))


@pytest.mark.parametrize("asked", ["Mistral AI", "mistral ai", "mistral-ai", "MISTRALAI"])
def test_a_publisher_is_known_however_it_is_written(asked: str) -> None:
    assert "mixtral-8x7b" in names(publisher=asked)


@pytest.mark.parametrize(
    ("wanted", "near"), [({"family": "lama"}, "'llama'"), ({"publisher": "Z.ia"}, "'Z.ai'")]
)
def test_an_unknown_name_gets_near_ones(wanted: dict[str, Any], near: str) -> None:
    with pytest.raises(UnknownName) as caught:
        names(**wanted)
    assert near in caught.value.hint


def test_a_name_near_none_gets_all_there_are() -> None:
    with pytest.raises(UnknownName) as caught:
        names(family="zzzz")
    assert caught.value.hint.startswith("--family takes ")
    assert "gpt-oss" in caught.value.hint


def test_the_least_is_not_over_the_most() -> None:
    with pytest.raises(ConflictingOptions):
        names(min_parameters=2, max_parameters=1)
    assert names(min_parameters=20_914_757_184, max_parameters=20_914_757_184) == ["gpt-oss-20b"]


@pytest.mark.parametrize(
    ("name", "attention", "experts"),
    [
        ("llama-2-7b", "multi-head", ""),
        ("llama-3.1-8b", "grouped", ""),
        ("gemma3-1b", "window + multi-query", ""),
        ("gpt-oss-20b", "window + grouped", "4 of 32"),
        ("phi-3.5-mini", "multi-head", ""),
        ("kimi-k2", "latent", "8 of 384"),
        ("deepseek-v3.2", "sparse latent", "8 of 256"),
        ("qwen3.5-27b", "gated delta + grouped", ""),
        ("kimi-linear-48b-a3b", "kimi delta + latent", "8 of 256"),
        ("jamba-mini", "mamba + grouped", "2 of 16"),
        ("nemotron-3-nano-30b-a3b", "mamba2 + grouped", "6 of 128"),
    ],
)
def test_what_mixes_tokens_is_said_in_the_order_of_the_layers(
    name: str, attention: str, experts: str
) -> None:
    found = network(name)
    assert (found.attention, found.experts) == (attention, experts)


def test_vision_towers_are_told() -> None:
    assert network("qwen3-vl-8b").vision
    assert network("kimi-k2.5").vision
    assert not network("kimi-k2").vision


def test_mtp_blocks_are_apart_from_the_parameters() -> None:
    found = network("glm-4.6")
    assert (found.layers, found.mtp_parameters) == (92, 3_988_069_792)


def test_a_network_without_rules_is_listed_and_passes_no_filter_about_it() -> None:
    catalog = load_catalog()
    odd = catalog.model("kimi-k2").model_copy(update={"name": "odd", "config": {"model_type": "x"}})
    models = MappingProxyType({**catalog.models, "odd": odd})
    changed = dataclasses.replace(catalog, models=models, digest="changed")
    assert describe(changed, odd) == Model(row=odd, network=None)
    assert "odd" in [model.row.name for model in select(changed, Wanted(family="kimi"))]
    for wanted in (Wanted(moe=True), Wanted(moe=False), Wanted(min_context=1)):
        assert "odd" not in [model.row.name for model in select(changed, wanted)]
