"""Which networks vLLM and SGLang serve, and which they cannot pipeline."""

from __future__ import annotations

from types import ModuleType

import pytest

from planner.catalog import load_catalog
from planner.engines.sglang import models as sglang
from planner.engines.sglang import serving as sglang_serving
from planner.engines.vllm import models as vllm
from planner.errors import EngineError
from planner.model.config_file import flatten
from planner.model.encoders import why_no_text
from planner.model.families import FAMILIES
from planner.model.huggingface import network_type

ENGINES = (vllm, sglang)
TYPES = {row.name: network_type(flatten(row.config)) for row in load_catalog().models.values()}


@pytest.mark.parametrize("table", ["_NEVER", "_NO_PIPELINE", "_BY_TRANSFORMERS"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_listed_type_is_a_family_that_generates_text(engine: ModuleType, table: str) -> None:
    listed = getattr(engine, table)
    assert listed <= set(FAMILIES)
    assert [name for name in listed if why_no_text({"model_type": name}) is not None] == []


def test_the_versions_of_vllm_are_of_families_too() -> None:
    assert set(vllm._SINCE) | set(vllm._UNTIL) <= set(FAMILIES)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_served_is_in_no_other_table(engine: ModuleType) -> None:
    assert not engine._NEVER & (engine._NO_PIPELINE | engine._BY_TRANSFORMERS)


@pytest.mark.parametrize(
    ("engine", "refused"),
    [
        (vllm, {"minimax-m1", "minimax-text-01"}),
        (sglang, {"jamba-large", "jamba-mini", "minimax-m1", "minimax-text-01"}),
    ],
)
def test_these_models_of_the_catalog_are_not_served(engine: ModuleType, refused: set[str]) -> None:
    assert {name for name, kind in TYPES.items() if engine.unsupported(kind)} == refused


def test_a_refusal_says_which_version_and_type() -> None:
    assert sglang.unsupported("jamba") == ("SGLang 0.5.23 does not serve networks of type 'jamba'")
    assert vllm.unsupported("beam") == "vLLM 0.32.0 does not serve networks of type 'beam'"


@pytest.mark.parametrize(
    ("kind", "version", "said"),
    [
        ("minimax", "0.23.0", None),
        ("minimax", "0.24.0", "0.23.0 was the last to"),
        ("grok2", "0.10.0", "0.14.0 does"),
        ("grok2", "0.24.0", None),
        ("grok2", "0.32.0", "0.24.0 was the last to"),
        ("kimi_linear", "0.10.0", "0.11.2 does"),
        ("kimi_linear", "0.14.0", None),
        ("phi4_multimodal", "0.10.0", "0.10.2 does"),
        ("phi4_multimodal", "0.12.0", None),
        ("phi4_multimodal", "0.12.1", "0.12.0 was the last to"),
        ("kimi_k2", "0.10.0", None),
        ("deepseek_v4", "0.18.0", "0.21.0 does"),
        ("deepseek_v4", "0.21.0", None),
    ],
)
def test_vllm_serves_a_network_in_the_versions_that_do(
    kind: str, version: str, said: str | None
) -> None:
    found = vllm.unsupported(kind, version)
    assert (found is None) if said is None else (found is not None and said in found)


def test_a_version_is_a_version() -> None:
    with pytest.raises(EngineError, match="no version of an engine"):
        vllm.unsupported("minimax", "latest")


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_said_of_a_type_nobody_knows(engine: ModuleType) -> None:
    assert engine.unsupported("a_new_type") is None
    assert not engine.no_pipeline("a_new_type")
    assert not engine.by_transformers("a_new_type")


def test_the_large_models_can_be_pipelined_in_both() -> None:
    for name in ("kimi-k2", "kimi-k3", "deepseek-v4-pro", "qwen3-235b", "glm-5.3", "minimax-m3"):
        assert not any(engine.no_pipeline(TYPES[name]) for engine in ENGINES)


def test_sglang_cannot_pipeline_what_vllm_can() -> None:
    for name in ("qwen3-next-80b-a3b", "llama-4-scout", "longcat-flash", "gemma3-27b"):
        assert sglang.no_pipeline(TYPES[name])
        assert not vllm.no_pipeline(TYPES[name])


def test_transformers_serves_where_the_engine_has_no_class() -> None:
    assert vllm.by_transformers(TYPES["seed-oss-36b"])
    assert sglang.by_transformers(TYPES["dots.llm1"])
    assert not any(engine.by_transformers(TYPES["llama-3.3-70b"]) for engine in ENGINES)


def test_the_tables_are_of_the_version_that_is_planned_for() -> None:
    assert sglang.VERSION == sglang_serving.DEFAULT_VERSION
