"""What is being served: one model in one checkpoint format on an engine of uniform grids.

As `planner.subject` is for llama.cpp: between the engines and all that counts. Bytes, tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, ModelRow, Quantization
from planner.engine_choice import check_settings, engine_of, quantization_of, version_of
from planner.engines import serving
from planner.engines.beside import Beside, beside_of
from planner.engines.cache_rules import told_cache_type
from planner.engines.grid import Grid, GridMemory, Options, Place
from planner.engines.names import GRID_ENGINES, TITLES, GridName
from planner.engines.pages import KvType
from planner.engines.releases import release
from planner.engines.weight_sizes import is_quantized
from planner.errors import EngineError, FactsError
from planner.model.architecture import Architecture
from planner.model.cache import cache_bytes
from planner.model.checkpoint_weights import checkpoint_weights
from planner.model.config_file import flatten
from planner.model.encoders import no_text, why_no_text
from planner.model.huggingface import network_type
from planner.model.row_scheme import published_checkpoints, scheme_of
from planner.performance.grid import Load
from planner.quantization.scheme import Scheme
from planner.request import PlanRequest
from planner.subject import ByDigest, architecture_of, request_context

_SIXTEEN_BITS = ("f16", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The settings of a served model that a question may vary."""

    engine: GridName
    options: Options
    concurrency: int
    depth: int
    load: Load | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """A model in a checkpoint format, and an engine's accounting of it."""

    row: ModelRow
    architecture: Architecture
    network: str
    """`model_type` of the text network, by which engines know what they serve."""
    quantization: Quantization
    scheme: Scheme
    own: bool
    """Whether the model's own config declares this format."""
    beside: Beside
    engine: GridName
    options: Options
    concurrency: int
    """Simultaneous requests."""
    depth: int
    """Tokens in the cache where the workload's speed is judged."""
    file_bytes: int
    """Tensor bytes of the checkpoint."""
    newest: str
    """The newest version of the engine whose rules were read."""
    load: Load | None = None
    """What each request brings; None leaves the prompts of others out of the speed."""
    _known: dict[object, GridMemory] = field(default_factory=dict)
    _grids: dict[Place, tuple[Grid, ...]] = field(default_factory=dict)
    _illegal: dict[object, tuple[str, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Engine and version as people write them."""
        return f"{TITLES[self.engine]} {self.options.version}"

    @property
    def version(self) -> str:
        """Version whose rules are applied."""
        return self.options.version

    @property
    def context(self) -> int:
        """Tokens each request may hold."""
        return self.options.context

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was taken for granted about the model and its checkpoint, a sentence each."""
        lines = list(self.architecture.assumptions)
        if self.beside.assumption:
            lines.append(self.beside.assumption)
        if not self.own and self.scheme.targets:
            lines.append(
                f"{self.quantization.name}: which layers are quantized is as publishers usually do"
                + self._more_kept
            )
        if self.cache_type != self.options.kv_type:
            lines.append(
                f"KV cache in {self.cache_type}: by itself {self.title} would keep 8 bits of this "
                "checkpoint, which --kv-type fp8 plans"
            )
        if release(self.options.version) > release(self.newest):
            lines.append(f"{self.title}: the rules of {self.newest}, the newest that were read")
        if serving.models(self.engine).by_transformers(self.network):
            lines.append(
                f"{self.title} serves networks of type '{self.network}' by Transformers' modules: "
                "what these do not split is on every device, so weights may take more"
            )
        return tuple(lines)

    @property
    def _more_kept(self) -> str:
        """What publishers do not agree about: attention in NVFP4, as Gemma's and Llama's differ."""
        whole = is_quantized(self.scheme, "self_attn.q_proj")
        if self.quantization.name != "NVFP4" or not whole:
            return ""
        return "; some keep attention in 16 bits, which takes more"

    @property
    def asked(self) -> Asked:
        """The settings it was made for."""
        return Asked(
            engine=self.engine,
            options=self.options,
            concurrency=self.concurrency,
            depth=self.depth,
            load=self.load,
        )

    @property
    def pipelined(self) -> bool:
        """Whether the engine can split the network into pipeline stages."""
        return not serving.models(self.engine).no_pipeline(self.network)

    @property
    def cache_type(self) -> KvType:
        """The cache type as the engine must be told it."""
        return told_cache_type(
            self.engine, self.network, self.architecture, self.scheme, self.options
        )

    def gpus(self, grid: Grid) -> int:
        """Devices of a grid."""
        return serving.serving(self.engine).gpus(grid)

    def room(self, seen: int) -> int:
        """Bytes of a device that weights and cache can have at most."""
        return serving.serving(self.engine).room(self.options, seen)

    @functools.cached_property
    def least_bytes(self) -> int:
        """Weights once and the cache of all requests: no layout holds less on all its ranks."""
        weights = checkpoint_weights(self.architecture, self.scheme, mtp=False).total_bytes
        types = {"auto": "f16", "bfloat16": "f16", "fp8": "fp8"}
        if self.options.kv_type not in types:
            return weights
        kind = types[self.options.kv_type]
        groups = cache_bytes(self.architecture, self.context, kind, index_dtype="fp8-scaled")
        token = sum(group.bytes_per_token for group in groups)
        return weights + int(token * self.context) * self.concurrency

    def partition(self, grid: Grid) -> tuple[int, ...]:
        """Layers of each stage: those the grid says, or the engine's default."""
        return serving.serving(self.engine).partition(self.architecture, grid)

    def illegal(self, grid: Grid, place: Place) -> tuple[str, ...]:
        """Why the engine refuses a layout; empty where it does not."""
        key = (grid, place)
        if key not in self._illegal:
            rules = serving.rules(self.engine)
            found = rules.illegal(self.architecture, self.scheme, grid, self.options, place)
            if grid.pipeline_parallel > 1 and not self.pipelined:
                found += (
                    f"networks of type '{self.network}' have no pipeline stages in {self.title}",
                )
            self._illegal[key] = found
        return self._illegal[key]

    def notes(self, grid: Grid, place: Place) -> tuple[str, ...]:
        """What is worth knowing of a legal layout, a sentence each."""
        rules = serving.rules(self.engine)
        return rules.notes(self.architecture, self.scheme, grid, self.options, place)

    def grids(self, place: Place) -> tuple[Grid, ...]:
        """Layouts of a place worth a look, legal or not."""
        found = self._grids.get(place)
        if found is None:
            every = serving.rules(self.engine).grids(self.architecture, place)
            found = tuple(x for x in every if self.pipelined or x.pipeline_parallel == 1)
            self._grids[place] = found
        return found

    def memory(self, grid: Grid, stages: Sequence[tuple[Gpu, int]], place: Place) -> GridMemory:
        """What every rank holds with the asked requests; remembered.

        Raises:
            EngineError, FactsError, UnsupportedArchitecture: no rules for it.
        """
        devices = tuple((gpu.name, seen) for gpu, seen in stages)
        key = (grid, devices, grid.tensor_parallel > place.gpus_per_machine)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = serving.serving(self.engine).memory(
                self.architecture,
                self.scheme,
                grid,
                self.options,
                stages,
                place,
                self.beside,
                self.concurrency,
            )
        return found


def asked_of_request(request: PlanRequest, catalog: Catalog, quant: str) -> Asked:
    """The settings a solve request is about.

    Raises:
        RequestError: a context or a concurrency out of range.
        EngineError: a K/V type the engine does not have.
    """
    engine = engine_of(request, catalog, quant)
    assert engine != "llama.cpp", "a layer split is asked of `planner.subject`"
    if request.engine != "auto":
        check_settings(request, engine)
    context = request_context(request, catalog)
    return Asked(
        engine=engine,
        options=Options(
            context=context,
            version=version_of(catalog, engine, request.engine_build),
            kv_type=kv_type_of(engine, request.kv_type),
        ),
        concurrency=request.concurrency,
        depth=min(request.depth, context),
        load=Load(min(request.input_tokens, context), request.output_tokens),
    )


def kv_type_of(engine: GridName, kv_type: str) -> KvType:
    """The K/V type in the engine's words: 16 bits are `auto`.

    Raises:
        EngineError: a type of llama.cpp.
    """
    if kv_type in _SIXTEEN_BITS:
        return "auto"
    if kv_type in ("fp8", "fp8_ds_mla", "nvfp4_ds_mla"):
        return cast(KvType, kv_type)
    raise EngineError(
        f"{TITLES[engine]} has no K/V type {kv_type}: it is one of llama.cpp's",
        hint="take --kv-type fp8, or leave it out for 16 bits",
    )


def served(catalog: Catalog, model: str, quant: str, asked: Asked) -> Served:
    """The served model; remembered.

    Raises:
        UnknownName: of the model or the quantization.
        EngineError: the engine cannot load the format or does not serve the network.
    """
    return _served(ByDigest(catalog), catalog.model(model).name, quant, asked)


@functools.lru_cache(maxsize=256)
def _served(key: ByDigest, name: str, quant: str, asked: Asked) -> Served:
    catalog = key.catalog
    row = catalog.models[name]
    quantization = quantization_of(catalog, row, quant)
    if row.file:
        raise EngineError(
            f"{TITLES[asked.engine]} cannot load {row.file}: it is a GGUF file",
            hint="take --engine llama.cpp, or give the model's checkpoint",
        )
    if quantization.kind != "checkpoint" and quantization.name not in ("BF16", "F16", "F32"):
        raise EngineError(
            f"{TITLES[asked.engine]} cannot load {quantization.name}: it is a quantization of GGUF "
            "files",
            hint="take a checkpoint format, e.g. --quant FP8, or --engine llama.cpp",
        )
    architecture = architecture_of(catalog, name)
    if not architecture.decodes:
        raise no_text(why_no_text(flatten(row.config)) or "it says so")
    network = network_type(flatten(row.config))
    _check_served(asked, network)
    scheme, own = scheme_of(row, architecture, quantization.name)
    beside = beside_of(row.config)
    return Served(
        row=row,
        architecture=architecture,
        network=network,
        quantization=quantization,
        scheme=scheme,
        own=own,
        beside=beside,
        engine=asked.engine,
        options=asked.options,
        concurrency=asked.concurrency,
        depth=asked.depth,
        load=asked.load,
        newest=catalog.default_build(asked.engine).name,
        file_bytes=_stored_bytes(row, architecture, scheme) + beside.tower,
    )


def _check_served(asked: Asked, network: str) -> None:
    """Refuses networks that the engine does not serve."""
    reason = serving.models(asked.engine).unsupported(network, asked.options.version)
    if reason is None:
        return
    others = (name for name in GRID_ENGINES if serving.models(name).unsupported(network) is None)
    other = next((name for name in others if name != asked.engine), None)
    way = "another engine, or a version that does with --engine-build"
    raise EngineError(reason, hint=f"take {way if other is None else f'--engine {other}'}")


def _stored_bytes(row: ModelRow, architecture: Architecture, scheme: Scheme) -> int:
    """Tensor bytes of the checkpoint.

    Raises:
        EngineError: the format cannot hold one of the matrices.
    """
    try:
        return checkpoint_weights(architecture, scheme).total_bytes
    except FactsError as error:
        raise EngineError(
            f"{row.name} cannot be stored in {scheme.name}: {error}", hint=error.hint
        ) from error


def unpublished(served: Served) -> tuple[str, ...]:
    """The warning that a checkpoint in this format would need to be made; none where published."""
    name = served.quantization.name
    if served.own or name in published_checkpoints(served.row):
        return ()
    return (f"{name} would need to be made: no published checkpoint of it is known",)
