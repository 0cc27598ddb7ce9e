"""What a model is made of, as values: nothing here computes. Weights, bytes and tokens."""

from __future__ import annotations

from typing import Literal

from planner.model.cache import Growth
from planner.model.components import Component
from planner.plan import SCHEMA_VERSION
from planner.values import Value


class FactsModel(Value):
    """Which model, and the figures its config or file states."""

    name: str
    """Name of its row, or what the file or folder is called."""
    title: str
    """Name for people."""
    publisher: str
    """Who published it; empty where not known."""
    origin: Literal["catalog", "config", "gguf"]
    """Where the facts come from: a row of the catalogs, a config.json, or a GGUF file."""
    source: str
    """Who published the config, or the path that was read."""
    family: str
    """`model_type` of its config; of a GGUF file, its architecture."""
    architecture: str
    """`general.architecture` of its GGUF files."""
    context: int
    """Tokens of the full window."""
    vocabulary: int
    """Tokens it knows."""
    hidden: int
    """Width of the hidden state."""
    tied: bool
    """Whether the output projection is the token embedding."""
    generates: bool
    """False for encoders and embedding models, which keep no cache."""
    quantization_config: str | None
    """The checkpoint's own format as its config states it; null where it states none."""


class ParameterFacts(Value):
    """How many weights, exactly."""

    text: int
    """Text network with embedding and output, without multi-token-prediction blocks."""
    mtp: int
    """Multi-token-prediction blocks, also those that GGUF converters leave out."""
    vision: int | None
    """Vision tower and projector; 0 without one, null where there are no rules for it."""
    total: int
    """All of these that are known."""
    active: int
    """Weights of the text network one token uses, the whole embedding counted."""
    active_without_embedding: int
    """The same without the embedding, as some publishers count."""
    routed_experts: int
    """Weights of routed experts, multi-token-prediction blocks apart."""
    routed_share: float
    """Their share of the text network, 0 to 1."""


class LayerKind(Value):
    """Blocks that are alike."""

    count: int
    """How many."""
    mixer: str
    """What mixes tokens, in words."""
    network: str
    """The feed-forward network, in words."""
    mtp: bool
    """Whether they are multi-token-prediction blocks."""
    parameters: int
    """Weights of one."""


class ComponentBytes(Value):
    """What the tensors of one part of the network take."""

    component: Component
    """What they belong to; everything in a multi-token-prediction block is `mtp`."""
    tensors: int
    """How many."""
    parameters: int
    """Weights in them."""
    bytes: int
    """What they take."""
    types: tuple[str, ...]
    """Storage types, the one with most bytes first."""


class TypeBytes(Value):
    """What the tensors of one storage type take."""

    type: str
    """Name of the type."""
    tensors: int
    """How many."""
    elements: int
    """Elements as stored; packed formats store several weights in one."""
    bytes: int
    """What they take."""


class Comparison(Value):
    """Files beside what the rules of a standard format would make of the same network."""

    format: str
    """The standard format."""
    bytes: int
    """What its rules give."""
    difference: int
    """Bytes of the files less those; 0 is equal."""
    tensors: int
    """Tensors of the files."""
    differing: int | None
    """Of them, those stored in another type; null where only totals can be compared."""


class FormatFacts(Value):
    """The weights in one format."""

    quant: str
    """Name of the format; `own` is the GGUF file itself."""
    kind: Literal["gguf", "checkpoint"]
    """Whether it is a GGUF file or a checkpoint of safetensors."""
    origin: Literal["rule", "file"]
    """Whether the format's rules or the file's own list say how each tensor is stored."""
    bytes: int
    """All tensors; files add their headers, a GGUF file also its vocabulary."""
    bits_per_weight: float
    """Bits of all tensors over the weights in them."""
    components: tuple[ComponentBytes, ...]
    """By what they belong to, most bytes first."""
    types: tuple[TypeBytes, ...]
    """By storage type, most bytes first."""
    published: bool | None
    """Whether files of it are published, or are there; null where nobody listed them."""


class StoredFacts(Value):
    """A checkpoint as the headers of its files have it."""

    files: int
    """Files that belong to it."""
    tensors: int
    """Tensors in them."""
    bytes: int
    """All tensors; the files add their headers."""
    stated_bytes: int | None
    """`metadata.total_size` of its index; publishers count it in different ways."""
    types: tuple[TypeBytes, ...]
    """By dtype, most bytes first."""


class CacheKind(Value):
    """What one sequence keeps in layers that are alike, in 16 bits."""

    mixer: str
    """Kind of mixer."""
    growth: Growth
    """Whether it grows with the context, ends at a window, has one size, or there is none."""
    layers: int
    """How many layers."""
    window: int | None
    """Tokens of the window; null where there is none."""
    bytes_per_token: float
    """Bytes each further token adds, all these layers together."""
    window_bytes: int
    """Most bytes of what a window bounds."""
    state_bytes: int
    """Bytes of states that have one size, in single precision."""


class CacheSize(Value):
    """What one sequence of `tokens` tokens keeps."""

    tokens: int
    """Its length."""
    f16: int
    """Bytes with keys and values in 16 bits."""
    q8_0: int | None
    """Bytes with keys and values in q8_0; null where its blocks of 32 do not divide a row."""


class CacheFacts(Value):
    """What a sequence keeps in all layers, before an engine rounds or copies it."""

    kinds: tuple[CacheKind, ...]
    """By kind of layer, in order of appearance."""
    bytes_per_token: float
    """Bytes each further token adds, in 16 bits."""
    sizes: tuple[CacheSize, ...]
    """At the asked context, if one was asked for, and at the full window."""


class Facts(Value):
    """What a model is made of."""

    kind: Literal["facts"] = "facts"
    schema_version: int = SCHEMA_VERSION
    """Version of this form."""
    asked: str
    """MODEL as it was asked for."""
    model: FactsModel
    """Which model."""
    parameters: ParameterFacts
    """Its weights."""
    layers: tuple[LayerKind, ...]
    """Its blocks by kind, in order of appearance."""
    format: FormatFacts | None
    """Bytes in one format; null where the format has no rules for this network."""
    comparison: Comparison | None
    """Its files beside a standard format; null without files, and where they name none."""
    stored: StoredFacts | None
    """Headers of the checkpoint; null without files."""
    cache: CacheFacts
    """What one sequence keeps."""
    assumptions: tuple[str, ...]
    """What was taken for granted, in words."""
    planner_version: str
    """Version that made it."""
    catalog_digest: str
    """SHA-256 of all catalog files read, and of the model's own file."""
