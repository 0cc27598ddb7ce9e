"""What is being planned: one model in one quantization under one engine's settings.

Between the engines and everything that counts: built once from a request and the catalogs, then
only read. Bytes and tokens.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from planner.catalog.load import Catalog
from planner.catalog.schema import EngineBuild, ModelRow, Quantization
from planner.engines.llama_cpp import rules
from planner.engines.llama_cpp.memory import Settings, SplitMemory
from planner.engines.llama_cpp.settings import CELL_PADDING
from planner.errors import EngineError, RequestError
from planner.model.architecture import Architecture
from planner.model.config_file import flatten
from planner.model.encoders import no_text, why_no_text
from planner.model.gguf import GgufFile, read_gguf
from planner.model.huggingface import architecture_from_config
from planner.model.own_quantization import OWN
from planner.model.weights import Weights, gguf_weights
from planner.request import PlanRequest
from planner.units import padded

_OF_GRID_ENGINES = ("fp8", "fp8_ds_mla", "nvfp4_ds_mla")
"""Types of the cache that llama.cpp does not have."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model with its exact bytes and the engine's accounting of them."""

    row: ModelRow
    architecture: Architecture
    quantization: Quantization
    weights: Weights
    settings: Settings
    build: EngineBuild
    memory: SplitMemory
    depth: int
    """Tokens in the cache where the workload's speed is judged."""

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.build.engine

    @property
    def version(self) -> str:
        """Build whose rules are applied."""
        return self.build.name

    @property
    def context(self) -> int:
        """Tokens each request may hold, as the engine rounds it."""
        return self.settings.cells()

    @property
    def concurrency(self) -> int:
        """Simultaneous requests."""
        return self.settings.slots

    @property
    def file_bytes(self) -> int:
        """Tensor bytes of the weight file."""
        return self.weights.total_bytes

    @property
    def slots(self) -> int:
        """Blocks, MTP blocks and the output."""
        return self.memory.slots

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was taken for granted about the model and its file, a sentence each."""
        if not self.row.file or self.quantization.name == OWN:
            return self.architecture.assumptions
        rules = (
            f"{self.quantization.name}: bytes by the rules of that mix, not the file's own tensors"
        )
        return (*self.architecture.assumptions, rules)

    @property
    def max_devices(self) -> int:
        """Devices one process can use."""
        assert self.build.max_devices is not None  # a build of llama.cpp
        return self.build.max_devices

    def pipelined(self, devices: int, machines: int) -> bool:
        """Whether `devices` devices on `machines` machines run pipelined in this build."""
        return devices > 1 and (machines == 1 or self.build.rpc_pipelines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The settings of a subject that a question may vary."""

    build: str
    pool: int
    """llama.cpp `-c`, tokens."""
    slots: int
    ubatch: int = 512
    batch: int = 2048
    flash_attention: bool = True
    kv_type: str = "f16"
    swa_full: bool = False
    tensor_rules: bool = False
    depth: int


def window_of(catalog: Catalog, model: str) -> int:
    """Tokens of a model's full window."""
    return _architecture(catalog, catalog.model(model).name).context_length


def request_context(request: PlanRequest, catalog: Catalog) -> int:
    """Tokens per request: what was asked, or the model's full window.

    Raises:
        RequestError: fewer than one token, or more than the model was made for.
    """
    window = window_of(catalog, request.model)
    context = window if request.context is None else request.context
    if not 1 <= context <= window:
        raise RequestError(
            f"--context {context}: {request.model} takes 1 to {window:,} tokens",
            hint=f"leave --context out for the full window, or give at most {window}",
        )
    return context


def shape_of_request(request: PlanRequest, catalog: Catalog) -> Shape:
    """The settings a solve request is about.

    The pool is the context rounded up to the engine's step, times the concurrency.

    Raises:
        RequestError: a context or a concurrency out of range.
    """
    if request.concurrency < 1:
        raise RequestError(
            f"--concurrency {request.concurrency}: at least one request is served",
            hint="give the number of simultaneous requests, e.g. --concurrency 8",
        )
    if request.concurrency > rules.MAX_SLOTS:
        raise RequestError(
            f"--concurrency {request.concurrency}: llama.cpp serves at most {rules.MAX_SLOTS}",
            hint="plan for fewer users, and start several replicas",
        )
    context = request_context(request, catalog)
    return Shape(
        build=request.engine_build or catalog.default_build("llama.cpp").name,
        pool=padded(context, CELL_PADDING) * request.concurrency,
        slots=request.concurrency,
        ubatch=request.ubatch,
        kv_type=request.kv_type,
        depth=min(request.depth, context),
    )


def subject_of_request(request: PlanRequest, catalog: Catalog, quant: str) -> Subject:
    """The subject a solve request is about, in quantization `quant`."""
    return subject(catalog, request.model, quant, shape_of_request(request, catalog))


@functools.lru_cache(maxsize=256)
def _subject(catalog_key: ByDigest, model: str, quant: str, shape: Shape) -> Subject:
    catalog = catalog_key.catalog
    row = catalog.model(model)
    quantization = catalog.quantization(quant)
    if quantization.kind != "gguf":
        raise EngineError(
            f"llama.cpp cannot load {quantization.name}: it is a checkpoint format",
            hint="take a GGUF quantization, e.g. --quant Q4_K_M",
        )
    if shape.kv_type in _OF_GRID_ENGINES:
        raise EngineError(
            f"llama.cpp has no K/V type {shape.kv_type}: it is one of vLLM's and SGLang's",
            hint="take --kv-type q8_0, or leave it out for 16 bits",
        )
    build = catalog.engine_build(shape.build)
    if build.engine != "llama.cpp":
        raise EngineError(
            f"{build.name} is a build of {build.engine}, not of llama.cpp",
            hint=f"take --engine {build.engine} with it, or leave --engine-build out",
        )
    architecture = _architecture(catalog, row.name)
    if not architecture.decodes:
        raise no_text(why_no_text(flatten(row.config)) or "it says so")
    settings = Settings(
        context=shape.pool,
        slots=shape.slots,
        ubatch=shape.ubatch,
        batch=max(shape.batch, shape.ubatch),
        flash_attention=shape.flash_attention,
        key_type=shape.kv_type,
        value_type=shape.kv_type,
        swa_full=shape.swa_full,
        tensor_rules=shape.tensor_rules,
        rpc_pipelines=build.rpc_pipelines,
        mtp_has_kv=build.mtp_has_kv,
    )
    refused = rules.illegal(architecture, settings, devices=1)
    if refused:
        raise EngineError(f"llama.cpp {build.name}: {refused[0]}", hint="change that setting")
    weights = weights_of(catalog, row, architecture, quantization)
    return Subject(
        row=row,
        architecture=architecture,
        quantization=quantization,
        weights=weights,
        settings=settings,
        build=build,
        memory=SplitMemory(architecture, weights, settings),
        depth=shape.depth,
    )


@dataclass(frozen=True)
class ByDigest:
    """A catalog that is compared by its content."""

    catalog: Catalog

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByDigest) and self.catalog.digest == other.catalog.digest

    def __hash__(self) -> int:
        return hash(self.catalog.digest)


def subject(catalog: Catalog, model: str, quant: str, shape: Shape) -> Subject:
    """The subject for a model, a quantization and settings; remembered.

    Raises:
        UnknownName: of the model, the quantization or the engine build.
        EngineError: the engine refuses the settings or cannot load the format.
    """
    return _subject(ByDigest(catalog), model, quant, shape)


def published(row: ModelRow, quant: str) -> bool | None:
    """Whether a model's GGUF files in `quant` are published, or there; None where nobody listed."""
    if row.file:
        return quant == OWN
    shelves = [shelf for shelf in row.repositories if shelf.kind == "gguf"]
    if any(quant in shelf.quantizations for shelf in shelves):
        return True
    return None if any(not shelf.complete for shelf in shelves) else False


def unpublished(row: ModelRow, quant: str) -> tuple[str, ...]:
    """The warning that a file in `quant` would need to be made; none where it is published."""
    match published(row, quant):
        case True:
            return ()
        case None:
            shelves = (shelf for shelf in row.repositories if shelf.kind == "gguf")
            places = " or ".join(shelf.id for shelf in shelves if not shelf.complete)
            return (f"{quant} would need to be made, unless {places} has it: no list is known",)
        case False if row.file:
            return (f"{quant} would need to be made: the file given is another (--quant {OWN})",)
        case False:
            return (f"{quant} would need to be made: no published file of it is known",)


def architecture_of(catalog: Catalog, name: str) -> Architecture:
    """The text network of the model called `name`.

    Raises:
        UnknownName, FileError, FactsError: no such model, or its file is gone or not understood.
    """
    return _architecture(catalog, catalog.model(name).name)


def file_of(catalog: Catalog, row: ModelRow) -> GgufFile:
    """The GGUF file of a model that is read from one."""
    return _file_of(ByDigest(catalog), row.name)


@functools.lru_cache(maxsize=16)
def _file_of(catalog_key: ByDigest, name: str) -> GgufFile:
    return read_gguf(Path(catalog_key.catalog.models[name].file))


def weights_of(
    catalog: Catalog, row: ModelRow, architecture: Architecture, quantization: Quantization
) -> Weights:
    """The tensors of a model's GGUF file: its own, or those the rules of a mix make.

    Raises:
        UnsupportedArchitecture: no list of the tensors of such a file.
    """
    if quantization.name == OWN:
        return _own_weights(ByDigest(catalog), row.name)
    return gguf_weights(architecture, quantization.name, quantization.imatrix)


@functools.lru_cache(maxsize=16)
def _own_weights(catalog_key: ByDigest, name: str) -> Weights:
    return _file_of(catalog_key, name).weights()


@functools.lru_cache(maxsize=256)
def _architecture_of(catalog_key: ByDigest, name: str) -> Architecture:
    row = catalog_key.catalog.models[name]
    if row.file:
        return _file_of(catalog_key, name).architecture()
    return architecture_from_config(flatten(row.config))


def _architecture(catalog: Catalog, name: str) -> Architecture:
    return _architecture_of(ByDigest(catalog), name)
