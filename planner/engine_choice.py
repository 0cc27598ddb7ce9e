"""Which engine a request is about, in which formats, and settings of one kind of engine alone."""

from __future__ import annotations

from planner.catalog.load import Catalog
from planner.catalog.schema import ModelRow, Quantization
from planner.engines.names import GRID_ENGINES, TITLES
from planner.errors import EngineError, RequestError
from planner.model.row_scheme import declared, published_checkpoints
from planner.request import EngineName, EvaluateRequest, PlanRequest

_OF_LLAMA_CPP = {
    "--ubatch": "ubatch",
    "--flash-attention": "flash_attention",
    "--swa-full": "swa_full",
}
_OF_GRIDS = {
    "--tp": "tensor_parallel",
    "--pp": "pipeline_parallel",
    "--dp": "data_parallel",
    "--ep": "expert_parallel",
    "--dcp": "decode_context_parallel",
    "--redundant-experts": "redundant_experts",
    "--utilization": "utilization",
    "--max-num-seqs": "max_num_seqs",
    "--max-num-batched-tokens": "max_num_batched_tokens",
}
"""Options of one kind of engine alone, and their fields of a request."""


def engine_of(request: PlanRequest | EvaluateRequest, catalog: Catalog, quant: str) -> EngineName:
    """The engine asked for, or the usual one of the format: llama.cpp for GGUF, else vLLM."""
    if request.engine is None or request.engine == "auto":
        return "vllm" if _is_checkpoint(request, catalog, quant) else "llama.cpp"
    return request.engine


def engines_of(request: PlanRequest, catalog: Catalog) -> tuple[EngineName, ...]:
    """The engines a request is about: with `auto` all that load the quantization."""
    if request.engine != "auto":
        return (engine_of(request, catalog, request.quant),)
    if request.quant == "auto":
        row = catalog.model(request.model)
        return ("llama.cpp",) if row.file else ("llama.cpp", *GRID_ENGINES)
    if _is_checkpoint(request, catalog, request.quant):
        return GRID_ENGINES
    plain = catalog.quantization(request.quant).name in ("BF16", "F16")
    return ("llama.cpp", *GRID_ENGINES) if plain else ("llama.cpp",)


def _is_checkpoint(request: PlanRequest | EvaluateRequest, catalog: Catalog, quant: str) -> bool:
    if quant == "auto":
        return False
    return quantization_of(catalog, catalog.model(request.model), quant).kind == "checkpoint"


def quantization_of(catalog: Catalog, row: ModelRow, quant: str) -> Quantization:
    """The catalog's row of a quantization, or one made of what the model's config declares.

    Raises:
        UnknownName: neither knows it.
    """
    own = declared(row)
    known = {name.casefold() for name in catalog.quantizations}
    if own is None or own.name.casefold() != quant.casefold() or quant.casefold() in known:
        return catalog.quantization(quant)
    ranks = [entry.rank for entry in catalog.quantizations.values() if entry.kind == "checkpoint"]
    return Quantization(
        name=own.name,
        kind="checkpoint",
        quality="as the model's own config declares it",
        rank=max(ranks, default=0) + 1,
        source=row.source,
        checked=row.checked,
    )


def checkpoints(catalog: Catalog, row: ModelRow) -> tuple[str, ...]:
    """Checkpoint formats to choose from for a model, best first; its own is the first of equals."""
    found = [quantization_of(catalog, row, name) for name in published_checkpoints(row)]
    return tuple(entry.name for entry in sorted(found, key=lambda entry: -entry.rank))


def check_settings(request: PlanRequest | EvaluateRequest, engine: str) -> None:
    """Refuses settings that only engines of the other kind have.

    Raises:
        RequestError: one is not left at its default.
    """
    if engine == "llama.cpp":
        values = {option: getattr(request, name, None) for option, name in _OF_GRIDS.items()}
        given = [option for option, value in values.items() if value not in (None, 0, 1)]
        what = "llama.cpp splits layers over devices and has no such setting"
        hint = "add --engine vllm, or name the split with --split"
    else:
        fields = type(request).model_fields
        given = [
            option
            for option, name in _OF_LLAMA_CPP.items()
            if name in fields and getattr(request, name) != fields[name].default
        ]
        what = f"{TITLES[engine]} has no such setting"
        hint = "leave it out, or take --engine llama.cpp with a GGUF quantization"
    if given:
        raise RequestError(f"{', '.join(given)}: {what}", hint=hint)


def version_of(catalog: Catalog, engine: str, build: str | None) -> str:
    """The version asked for, or the catalog's default of the engine.

    Raises:
        EngineError: a build of another engine.
    """
    if build is None:
        return catalog.default_build(engine).name
    row = catalog.engine_builds.get(build)
    if row is not None and row.engine != engine:
        raise EngineError(
            f"{row.name} is a build of {TITLES[row.engine]}, not of {TITLES[engine]}",
            hint=f"take --engine {row.engine} with it, or leave --engine-build out",
        )
    return build
