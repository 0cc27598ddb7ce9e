"""What a model is made of: weights, layers, bytes in one format, cache. A service: reads, counts.

Everything is of the model itself; what an engine adds, rounds or copies is for `plan evaluate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from planner import __version__
from planner.catalog.load import Catalog
from planner.catalog.schema import ModelRow
from planner.errors import RequestError, UnsupportedArchitecture
from planner.model.architecture import Architecture, Layer, MixtureOfExperts
from planner.model.cache import cache_bytes, caches
from planner.model.network import block_parts
from planner.model.own_quantization import OWN
from planner.model.parameters import active_parameters, mtp_parameters, parameters
from planner.model.row_scheme import declared
from planner.model.vision import Tower, UnknownTower, vision_tower
from planner.quantization.scheme import Scheme
from planner.services.facts_formats import (
    checkpoint_comparison,
    checkpoint_of,
    file_comparison,
    format_facts,
    stored,
)
from planner.services.facts_values import (
    CacheFacts,
    CacheKind,
    CacheSize,
    Facts,
    FactsModel,
    FormatFacts,
    LayerKind,
    ParameterFacts,
)
from planner.services.facts_words import mixer_words, network_words
from planner.subject import architecture_of

__all__ = ["Facts", "facts"]

PLAIN = "BF16"
"""Format every network can be stored in."""
SMALL_BLOCK = 32
"""Elements of a block of q8_0."""


def facts(model: str, catalog: Catalog, quant: str = "auto", context: int | None = None) -> Facts:
    """What `model` is made of; its bytes in `quant`, `auto` being its own or the recommended one.

    Raises:
        UnknownName: no such model or quantization.
        RequestError: fewer than one token of context, or more than the model was made for.
        FactsError: a mechanism of the network there are no rules for.
    """
    row = catalog.model(model)
    architecture = architecture_of(catalog, row.name)
    if context is not None and not 1 <= context <= architecture.context_length:
        raise RequestError(
            f"--context {context}: {row.name} takes 1 to {architecture.context_length:,} tokens",
            hint=f"give at most {architecture.context_length}",
        )
    tower = _tower(row)
    scheme = declared(row)
    form, assumed = _format(catalog, row, architecture, quant, scheme)
    checkpoint = checkpoint_of(row)
    counted = _parameters(architecture, tower)
    compared = file_comparison(catalog, row, architecture) if row.file else None
    if checkpoint is not None:
        compared = checkpoint_comparison(scheme, architecture, checkpoint, counted.vision or 0)
    assumed = (*architecture.assumptions, *assumed)
    if tower is not None and tower.assumption:
        assumed += (tower.assumption,)
    return Facts(
        asked=model,
        model=_model(row, architecture, scheme),
        parameters=counted,
        layers=_layers(architecture),
        format=form,
        comparison=compared,
        stored=None if checkpoint is None else stored(checkpoint),
        cache=_cache(architecture, context),
        assumptions=tuple(dict.fromkeys(assumed)),
        planner_version=__version__,
        catalog_digest=catalog.digest,
    )


def _format(
    catalog: Catalog,
    row: ModelRow,
    architecture: Architecture,
    quant: str,
    scheme: Scheme | None,
) -> tuple[FormatFacts | None, tuple[str, ...]]:
    """Bytes in one format, and what was taken for granted.

    Without a format asked for: the file's own, else the one its config declares, else the
    recommended; where the recommended mix has no rules for this network, 16-bit weights. A format
    asked for without such rules gives none, and why.
    """
    wanted = row.recommended if scheme is None else scheme.name
    if quant != "auto":
        wanted = quant
    try:
        form = format_facts(catalog, row, architecture, wanted, scheme)
    except UnsupportedArchitecture as error:
        missing = f"no bytes in {wanted}: {error.message}"
        if quant != "auto":
            return None, (missing,)
        return format_facts(catalog, row, architecture, PLAIN, scheme), (missing,)
    if row.file and form.quant != OWN:
        return form, (f"{form.quant}: by the rules of that format, not the file's own tensors",)
    return form, ()


def _tower(row: ModelRow) -> Tower | UnknownTower | None:
    """The vision tower; rows of the catalogs say that there is one, not how large it is."""
    tower = vision_tower(row.config)
    if isinstance(tower, UnknownTower) and _origin(row) == "catalog":
        return UnknownTower(
            assumption="vision tower not counted: the catalogs have the text network only"
        )
    return tower


def _origin(row: ModelRow) -> str:
    if row.file:
        return "gguf"
    return "config" if row.source.endswith(".json") else "catalog"


def _model(row: ModelRow, architecture: Architecture, scheme: Scheme | None) -> FactsModel:
    return FactsModel.model_validate(
        {
            "name": row.name,
            "title": row.title,
            "publisher": row.publisher,
            "origin": _origin(row),
            "source": row.source,
            "family": str(row.config.get("model_type") or architecture.gguf_name),
            "architecture": architecture.gguf_name,
            "context": architecture.context_length,
            "vocabulary": architecture.vocabulary,
            "hidden": architecture.hidden,
            "tied": architecture.tied,
            "generates": architecture.decodes,
            "quantization_config": None if scheme is None else scheme.name,
        }
    )


def _parameters(architecture: Architecture, tower: Tower | UnknownTower | None) -> ParameterFacts:
    text, mtp = parameters(architecture), mtp_parameters(architecture)
    match tower:
        case None:
            vision: int | None = 0
        case Tower():
            vision = tower.parameters
        case UnknownTower():
            vision = None
    routed = sum(
        part.elements
        for layer in architecture.layers
        if isinstance(layer.network, MixtureOfExperts) and not layer.mtp
        for part in block_parts(architecture, layer)
        if part.component == "experts"
    )
    return ParameterFacts(
        text=text,
        mtp=mtp,
        vision=vision,
        total=text + mtp + (vision or 0),
        active=active_parameters(architecture),
        active_without_embedding=active_parameters(architecture, embedding=False),
        routed_experts=routed,
        routed_share=routed / text,
    )


def _layers(architecture: Architecture) -> tuple[LayerKind, ...]:
    """Blocks by kind in order of appearance, MTP blocks last."""
    counts = Counter((*architecture.layers, *architecture.unconverted_mtp))
    return tuple(
        LayerKind(
            count=count,
            mixer=mixer_words(layer.mixer),
            network=network_words(layer.network),
            mtp=layer.mtp,
            parameters=_weights(architecture, layer),
        )
        for layer, count in counts.items()
    )


def _weights(architecture: Architecture, layer: Layer) -> int:
    return sum(part.elements for part in block_parts(architecture, layer))


def _cache(architecture: Architecture, context: int | None) -> CacheFacts:
    groups = cache_bytes(architecture, architecture.context_length)
    kinds = tuple(
        CacheKind(
            mixer=group.mixer,
            growth=group.growth,
            layers=group.layers,
            window=group.window,
            bytes_per_token=float(group.bytes_per_token),
            window_bytes=group.window_bytes,
            state_bytes=group.state_bytes,
        )
        for group in groups
    )
    return CacheFacts(
        kinds=kinds,
        bytes_per_token=float(sum(group.bytes_per_token for group in groups)),
        sizes=tuple(_sizes(architecture, context)),
    )


def _sizes(architecture: Architecture, context: int | None) -> Iterable[CacheSize]:
    window = architecture.context_length
    divides = all(
        rows.width % SMALL_BLOCK == 0 for _, cache in caches(architecture) for rows in cache.rows
    )
    for tokens in sorted({context or window, window}):
        q8_0 = _total(architecture, tokens, "q8_0") if divides else None
        yield CacheSize(tokens=tokens, f16=_total(architecture, tokens, "f16"), q8_0=q8_0)


def _total(architecture: Architecture, tokens: int, dtype: str) -> int:
    return sum(group.bytes for group in cache_bytes(architecture, tokens, dtype))
