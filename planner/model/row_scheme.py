"""The checkpoint format of a model of the catalogs, and the formats published of it. Model layer.

What a row's own config declares is taken as it stands, module by module; every other format is as
publishers usually make it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.catalog.schema import ModelRow
from planner.model.architecture import Architecture
from planner.model.config_file import read_config_json
from planner.model.quantization_config import declared_scheme, plain_dtype, scheme_for
from planner.quantization.scheme import Scheme

_BESIDE = "hf_quant_config.json"
"""What ModelOpt writes beside the config."""
_WHOLE_NVFP4 = frozenset({"qwen3moe"})
"""GGUF names of mixtures of experts of which NVFP4 is published with attention in it
(hf_quant_config.json of nvidia/Qwen3-235B-A22B-NVFP4)."""


def declared(row: ModelRow) -> Scheme | None:
    """The format a model's config says its checkpoint is in; None where it says none.

    Raises:
        FactsError: a quantization that is not understood.
    """
    return declared_scheme(row.config, _beside(row)) if row.config else None


def scheme_of(row: ModelRow, architecture: Architecture, quant: str) -> tuple[Scheme, bool]:
    """The scheme of a model's checkpoint in `quant`, and whether its own config declares it.

    Raises:
        FactsError: no checkpoint format of that name, or a declared one that is not understood.
    """
    whole = quant.casefold() == "nvfp4" and architecture.gguf_name in _WHOLE_NVFP4
    experts = architecture.has_experts and not whole
    return scheme_for(row.config, quant, declared(row), experts=experts)


def published_checkpoints(row: ModelRow) -> tuple[str, ...]:
    """Names of the checkpoint formats known to be published of a model, its own first.

    Its own is what its config declares, else the first its repositories list, else, where they
    list none, the plain type its config states. A GGUF file has none.

    Raises:
        FactsError: a declared quantization that is not understood.
    """
    if row.file:
        return ()
    scheme = declared(row)
    shelves = (shelf.quantizations for shelf in row.repositories if shelf.kind == "checkpoint")
    listed = tuple(name for shelf in shelves for name in shelf)
    own = (scheme.name,) if scheme is not None else ()
    return tuple(dict.fromkeys((*own, *listed))) or (plain_dtype(row.config),)


def _beside(row: ModelRow) -> dict[str, Any] | None:
    path = Path(row.folder) / _BESIDE
    return read_config_json(path) if row.folder and path.is_file() else None
