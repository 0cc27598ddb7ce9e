"""The requirements page of one model as values: nothing here computes. Bytes and tokens."""

from __future__ import annotations

from typing import Literal

from planner.plan import SCHEMA_VERSION, Verdict
from planner.values import Range, Value

Method = Literal["true", "nominal"]
"""Exact bytes, or the arithmetic of the public requirements pages."""
Figure = Literal["bits_per_weight", "file_bytes", "memory_bytes", "full_memory_bytes"]


class Specifications(Value):
    """What is published about the model."""

    name: str
    title: str
    publisher: str
    family: str
    """`model_type` of its published configuration."""
    architecture: str
    """`general.architecture` of its GGUF files."""
    mechanisms: tuple[str, ...]
    """How its layers attend and feed forward."""
    parameters: int
    """Of the text network, without multi-token-prediction blocks."""
    active_parameters: int
    """Of them, those one token uses."""
    layers: int
    context: int
    """Tokens of the full window."""
    vocabulary: int
    license: str
    released: str | None
    repositories: tuple[str, ...]
    """Where files of it are published."""
    gguf_repositories: tuple[str, ...]
    """Of these, those with GGUF files."""
    source: str


class Figures(Value):
    """What one quantization needs, counted one way."""

    bits_per_weight: float
    file_bytes: int
    memory_bytes: int
    """Device memory with `Requirements.short_context` tokens in the cache."""
    full_memory_bytes: int
    """Device memory with the full window in the cache."""


class QuantizationNeeds(Value):
    """One row of the page."""

    quant: str
    quality: str
    rank: int
    """Order of quality, higher is better."""
    recommended: bool
    true: Figures
    nominal: Figures | None
    """The public pages' figures; null for a mix they do not list."""
    differs: tuple[Figure, ...]
    """Figures whose two counts are more than 2 % apart."""


class MemoryParts(Value):
    """What the recommended quantization holds on one hypothetical device, and on its host."""

    tokens: int
    weights: int
    kv_cache: int
    compute: int
    runtime: int
    total: int
    """Of the device."""
    host: int
    """Token embedding and graph inputs, in the memory of the server's machine."""


class NominalMethod(Value):
    """What the public pages' arithmetic is made of, beside what the model really has."""

    parameters: int
    """Weights they count."""
    layers: int
    hidden: int
    kv_bytes_per_token: int
    """2 * layers * hidden * 2 bytes."""
    overhead_bytes: int
    true_parameters: int
    true_kv_bytes: int
    """KV cache at the full window, as the engine allocates it."""
    kv_ratio: float
    """Their cache at the full window over the true one."""


class Machine(Value):
    """One node type, or a few of them joined, and whether the recommended quantization fits."""

    node: str
    title: str
    kind: Literal["whole", "parts", "rented"]
    availability: str
    count: int
    machines: int
    """Machines in all: a linked pair counts as two."""
    gpu: str
    gpu_title: str
    devices: int
    """Devices in all."""
    devices_used: int
    """Of them, those the layers are spread over: as many as one engine process can use."""
    unified: bool
    capacity_bytes: int
    """Memory free on one idle device."""
    verdict: Verdict
    """Of the recommended quantization at the full window."""
    spare_bytes: int
    """Free on the tightest device of the most balanced split; negative is what is missing."""
    largest_quant: str | None
    """The largest file that fits with the full window; null where none does."""
    tokens_per_second: Range | None
    """Of one user at the depth of a default workload; null where it does not fit."""
    calibration: str | None
    """What the speed stands on, or `uncalibrated: ...`."""
    setting_command: str | None
    """Command that must be run on the machine to have that memory."""


class LeftOut(Value):
    """A node type or a quantization without a verdict, and why."""

    name: str
    reason: str


class Answer(Value):
    """One question of the page."""

    question: str
    answer: str


class Requirements(Value):
    """The whole page."""

    kind: Literal["requirements"] = "requirements"
    schema_version: int = SCHEMA_VERSION
    method: Method
    model: Specifications
    recommended: str
    short_context: int
    quantizations: tuple[QuantizationNeeds, ...]
    parts: tuple[MemoryParts, ...]
    """At the short and at the full context."""
    hypothetical_device: str
    nominal_method: NominalMethod
    machines: tuple[Machine, ...]
    left_out: tuple[LeftOut, ...]
    answers: tuple[Answer, ...]
    notes: tuple[str, ...]
    assumptions: tuple[str, ...]
    planner_version: str
    catalog_digest: str
