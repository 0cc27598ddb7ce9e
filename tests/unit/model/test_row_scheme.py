"""The checkpoint format of a model, and the formats published of it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.catalog.schema import ModelRow, Repository
from planner.model.architecture import Architecture
from planner.model.checkpoint_weights import checkpoint_weights
from planner.model.huggingface import architecture_from_config
from planner.model.quantization_config import plain_dtype
from planner.model.row_scheme import declared, published_checkpoints, scheme_of
from planner.quantization.default_schemes import default_scheme
from planner.quantization.scheme import Scheme

CATALOG = load_catalog()
ROWS = list(CATALOG.models.values())
UNKNOWN = {"sarvamai/sarvam-30b-fp8", "sarvamai/sarvam-105b-fp8"}
"""Repositories whose format nobody has read."""
LLAMA = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 1000,
    "torch_dtype": "float16",
}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}


def row_of(config: dict[str, Any], **changes: Any) -> ModelRow:
    fields = {
        "name": "mine",
        "title": "Mine",
        "publisher": "me",
        "parameters": 1,
        "recommended": "Q4_K_M",
        "source": "mine",
        "checked": datetime.date(2026, 11, 25),
        "config": config,
    }
    return ModelRow.model_validate({**fields, **changes})


def shelf(kind: str, *quantizations: str) -> Repository:
    return Repository.model_validate(
        {"kind": kind, "id": "me/mine", "quantizations": quantizations, "source": "mine"}
    )


def size(row: ModelRow, scheme: Scheme) -> int:
    return checkpoint_weights(architecture_from_config(row.config), scheme).total_bytes


def elements(architecture: Architecture, quant: str) -> int:
    """Stored elements of a whole checkpoint in the usual scheme of `quant`."""
    scheme = default_scheme(quant, experts=architecture.has_experts)
    return sum(
        part.copies * tensor.elements
        for part in checkpoint_weights(architecture, scheme).parts
        for tensor in part.tensors
    )


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("kimi-k2-thinking", 594_205_920_512 - 15_616),
        ("kimi-k2.5", 595_148_192_736 - 942_287_840),
        ("kimi-k2.6", 595_148_192_736 - 942_287_840),
        ("kimi-k2.7-code", 595_148_192_736 - 942_287_840),
    ],
)
def test_kimi_quantizes_its_routed_experts_alone(name: str, published: int) -> None:
    """Header audit of 2026-09-26, less stored rotary buffers and the vision tower."""
    row = CATALOG.model(name)
    architecture = architecture_from_config(row.config)
    scheme, own = scheme_of(row, architecture, "int4-w4a16-g32")
    assert own
    assert size(row, scheme) == published
    usual = default_scheme("INT4-W4A16-g32", experts=True)
    assert size(row, usual) < published - 10 * 10**9


@pytest.mark.parametrize(
    ("name", "quant", "difference"),
    [
        ("glm-4.7", "FP8-channel", 120_600_576),
        ("hermes-4-405b", "FP8-channel", 19_869_696),
        ("exaone-4.0-32b", "FP8", 1_889_280),
        ("llama-3.3-70b", "FP8", 4_177_920),
        ("llama-3.3-70b", "INT8", 6_717_440),
        ("qwen3-32b", "FP8-channel", 4_587_520),
    ],
)
def test_the_scales_of_listed_checkpoints_are_as_many_as_published(
    name: str, quant: str, difference: int
) -> None:
    """Total elements of the quantized repository less those of the 16-bit one (llmfit 1.1.17)."""
    row = CATALOG.model(name)
    architecture = architecture_from_config(row.config)
    assert quant in published_checkpoints(row)
    assert elements(architecture, quant) - elements(architecture, "BF16") == difference


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_published_format_is_known_and_the_own_one_is_first(row: ModelRow) -> None:
    names = published_checkpoints(row)
    assert len(set(names)) == len(names)
    assert [name for name in names if name not in CATALOG.quantizations] == []
    architecture = architecture_from_config(row.config)
    assert scheme_of(row, architecture, names[0])[1]
    assert not any(scheme_of(row, architecture, name)[1] for name in names[1:])
    own = declared(row)
    assert names[0] == (plain_dtype(row.config) if own is None else own.name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_checkpoint_repository_says_its_format(row: ModelRow) -> None:
    shelves = [shelf for shelf in row.repositories if shelf.kind == "checkpoint"]
    assert shelves[0].quantizations == published_checkpoints(row)[:1]
    assert {shelf.id for shelf in shelves if not shelf.quantizations} <= UNKNOWN


def test_well_known_checkpoints_are_listed() -> None:
    assert set(published_checkpoints(CATALOG.model("qwen3-235b"))) >= {
        *("BF16", "FP8", "NVFP4", "FP8-tensor", "GPTQ-Int4"),
    }
    assert {"AWQ", "GPTQ-Int4", "GPTQ-Int8"} <= set(
        published_checkpoints(CATALOG.model("qwen2.5-72b"))
    )
    assert published_checkpoints(CATALOG.model("kimi-k2"))[:1] == ("FP8",)


def test_a_config_without_lists_is_published_in_its_plain_type() -> None:
    assert published_checkpoints(row_of(LLAMA)) == ("F16",)


def test_the_declared_format_comes_before_listed_ones() -> None:
    row = row_of(
        {**LLAMA, "quantization_config": FP8},
        repositories=(shelf("gguf", "Q8_0"), shelf("checkpoint", "BF16", "FP8")),
    )
    assert published_checkpoints(row) == ("FP8", "BF16")


def test_a_gguf_file_has_no_checkpoint() -> None:
    row = row_of({}, file="model.gguf", repositories=(shelf("checkpoint", "FP8"),))
    assert published_checkpoints(row) == ()
    assert declared(row) is None


def test_the_scheme_of_another_format_is_the_usual_one() -> None:
    row = row_of({**LLAMA, "quantization_config": FP8})
    architecture = architecture_from_config(row.config)
    assert scheme_of(row, architecture, "fp8") == (declared(row), True)
    assert scheme_of(row, architecture, "AWQ") == (default_scheme("AWQ", experts=False), False)


def test_what_modelopt_writes_beside_the_config_is_honoured(tmp_path: Path) -> None:
    beside = {"quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside), encoding="utf-8")
    row = row_of(LLAMA, folder=str(tmp_path))
    assert published_checkpoints(row) == ("NVFP4",)
    scheme, own = scheme_of(row, architecture_from_config(row.config), "NVFP4")
    assert own
    assert scheme == declared(row)
    assert declared(row_of(LLAMA)) is None


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("qwen3-235b", 134_101_359_616),
        ("kimi-k2.6", 595_147_639_776 - 942_287_840),
        ("kimi-k2.7-code", 595_147_639_776 - 942_287_840),
    ],
)
def test_usual_nvfp4_is_as_nvidia_publishes_it(name: str, published: int) -> None:
    """Tensor bytes of nvidia's checkpoints, less the vision tower; single scales are not alike."""
    row = CATALOG.model(name)
    scheme, own = scheme_of(row, architecture_from_config(row.config), "NVFP4")
    assert not own
    assert 0 <= size(row, scheme) - published < published / 100_000
