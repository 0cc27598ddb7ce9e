"""Typed rows of the catalogs: one thing, one row; one fact, one unit, one source.

Text quantities of the TOML files become base units here (bytes, bytes/s, watts).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from planner.errors import BadQuantity
from planner.units import parse_rate, parse_size
from planner.values import Value


def _size(value: object) -> object:
    return _read(parse_size, value)


def _rate(value: object) -> object:
    return _read(parse_rate, value)


def _read(parse: Callable[[str], int], value: object) -> object:
    """`value` in base units; a bad quantity becomes a validation error, which names the field."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except BadQuantity as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _text_or_number(example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string", "examples": [example]}]},
        mode="validation",
    )


_MOST_BYTES = 2**50
Size = Annotated[
    int, BeforeValidator(_size), Field(gt=0, le=_MOST_BYTES), _text_or_number("80 GiB")
]
Share = Annotated[
    int, BeforeValidator(_size), Field(ge=0, le=_MOST_BYTES), _text_or_number("479 MiB")
]
Rate = Annotated[
    int, BeforeValidator(_rate), Field(ge=10**6, le=_MOST_BYTES), _text_or_number("900 GB/s")
]
Money = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=6)]
Cost = Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=6)]
Seconds = Annotated[float, Field(ge=1e-9, le=60)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")]
Availability = Literal["new", "used", "withdrawn", "announced"]
Family = Literal["cuda", "rocm", "metal", "sycl", "other"]
SpeedClass = Literal["geforce", "hbm", "apple", "none"]
MemoryKind = Literal[
    "GDDR5",
    "GDDR6",
    "GDDR6X",
    "GDDR7",
    "HBM2",
    "HBM2e",
    "HBM3",
    "HBM3e",
    "HBM4",
    "LPDDR5",
    "LPDDR5X",
]


class Row(Value):
    """Base of every row: a key, a source and the day it was checked."""

    name: Name
    """Key, unique in its catalog; letters, digits and `._+-`."""
    source: str
    """Where the facts of this row come from; `unverified` where nobody read them in a source."""
    checked: datetime.date
    """Day the source was read."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Field to source, for fields whose source is not the row's."""
    notes: str = ""
    """What else a reader should know, in words."""

    @property
    def unverified(self) -> tuple[str, ...]:
        """Fields nobody read in a source; `all` where the row itself has none."""
        marked = [field for field, source in self.sources.items() if source == "unverified"]
        return tuple(sorted(marked)) if self.source != "unverified" else ("all",)


class MemorySetting(Value):
    """A setting of the machine that changes the memory a device may use."""

    memory: Size
    """Memory a device may use once the setting is made, bytes."""
    default: Size
    """Memory it may use without."""
    command: str
    """Command that makes the setting."""
    source: str
    """Where the setting and both figures come from."""


class Gpu(Row):
    """One device model."""

    title: str
    """Name for people."""
    vendor: str
    """Who makes it, in lower case; `--only` and `--exclude` know it."""
    family: Family
    """Software family; one replica uses one family unless asked otherwise."""
    architecture: str
    """The maker's name of the generation, e.g. `hopper`."""
    compute_capability: str | None = None
    """CUDA compute capability, e.g. `9.0`."""
    nominal_memory: str
    """Capacity in the vendor's own words, e.g. `80 GB`."""
    usable_memory: Size | None = None
    """Memory the driver reports, with `setting` made where there is one, bytes.

    None where nobody has published it.
    """
    reserved_memory: Share | None = None
    """Memory the driver, or the system sharing it, keeps on an idle device, bytes.

    None where unknown (then assumed).
    """
    unified: bool = False
    """Whether device and host share one memory."""
    setting: MemorySetting | None = None
    """Setting that changes the usable memory, where there is one."""
    memory_kind: MemoryKind | None = None
    """Kind of memory chips."""
    memory_bandwidth: Rate
    """Data sheet, bytes/s."""
    dense_fp16: float | None = None
    """Dense FP16/BF16 rate with FP32 accumulation, FLOP/s."""
    dense_fp8: float | None = None
    """Dense FP8 rate, FLOP/s."""
    power: float | None = None
    """Board power, W."""
    speed_class: SpeedClass = "none"
    """Calibration class of the local-inference speed model."""
    availability: Availability = "new"
    """Whether the card itself can be bought new; a node has its own."""


class Part(Value):
    """So many of one priced item."""

    item: str
    """Name of a price row."""
    count: int = Field(gt=0)
    """How many of it one node has."""


class Node(Row):
    """One machine type that can be bought or rented whole."""

    title: str
    """Name for people."""
    kind: Literal["whole", "parts", "rented"]
    """Bought whole, built from priced parts, or rented."""
    gpu: str
    """GPU row of its devices; all are of one model."""
    gpus: int = Field(gt=0, le=128)
    """Devices in it."""
    machines: int = Field(default=1, gt=0, le=26)
    """Machines in it: 2 for a linked pair sold and cabled as one."""
    vendor: str
    """Who sells or rents it."""
    instance: str | None = None
    """The vendor's own name of a rented machine."""
    host_memory: Size | None = None
    """Memory of the host, of all machines in it, bytes."""
    host_memory_bandwidth: Rate | None = None
    """Of one host, bytes/s."""
    fabric: str | None = None
    """Link row that joins the devices inside."""
    bridge: str | None = None
    """Link row of the bridges that join neighbouring devices in pairs, where it has any."""
    sockets: int | None = Field(default=None, gt=0, le=8)
    """CPU sockets of one machine, with as many devices on each; left out, 1 for up to 4 devices
    and 2 for more."""
    peer_to_peer: bool | None = None
    """Whether devices reach each other over PCIe without the host's memory; left out, all but
    GeForce cards do."""
    rails: int = Field(default=1, gt=0, le=16)
    """Adapters of its first built-in network in one machine."""
    networks: tuple[str, ...] = ()
    """Network rows that can join it with others, best first."""
    built_in_networks: tuple[str, ...] = ()
    """Of these, the ones whose adapter is in the price."""
    parts: tuple[Part, ...] = ()
    """What it is built from; its price is then their sum and it has no price row."""
    power: float | None = None
    """At the wall under full load, W."""
    rack_units: float | None = None
    """Height in a rack, U."""
    availability: Availability = "new"
    """Whether the machine can be bought new; rented machines are `new`."""

    @model_validator(mode="after")
    def _linked(self) -> Node:
        """Linked machines have as many devices each, and a network among themselves."""
        if self.gpus % self.machines:
            raise ValueError(f"{self.gpus} gpus on {self.machines} machines: not as many each")
        if self.machines > 1 and not self.built_in_networks:
            raise ValueError("linked machines need the network that links them: built_in_networks")
        return self


class Price(Row):
    """What one item costs; `name` is the item (a node, or a part of one)."""

    kind: Literal["purchase", "hourly"]
    """To buy, USD, or to rent, USD per hour."""
    terms: Literal["list", "street", "on-demand", "reserved", "spot", "market", "derived"]
    """What sort of price it is; `spot` and `reserved` rent is not on demand."""
    low: Cost | None = None
    """Lowest seen, USD; left out, the mid."""
    mid: Cost
    """USD, or USD per hour of the whole node."""
    high: Cost | None = None
    """Highest seen, USD; left out, the mid."""
    date: datetime.date
    """Day the price held."""

    @property
    def bounds(self) -> tuple[Decimal, Decimal, Decimal]:
        """Low, mid, high; a missing end is the mid."""
        return self.low or self.mid, self.mid, self.high or self.mid


class Link(Row):
    """One kind of link between devices."""

    kind: Literal["scale-up", "host", "network"]
    """Between devices (NVLink and the like), device to host, or between machines."""
    bandwidth_per_direction: Rate
    """Of one device, data sheet, bytes/s."""
    achieved_per_direction: Rate | None = None
    """What transfers reach, where somebody measured, bytes/s."""
    latency: float | None = None
    """Seconds, one way."""


class Network(Row):
    """A way to join machines, and what it costs."""

    bandwidth_per_direction: Rate
    """Per machine."""
    achieved_per_direction: Rate | None = None
    """What TCP reaches on it, where somebody measured; None where nobody has."""
    hop_low: Seconds
    """Pessimist's time of one pipeline hop with llama.cpp RPC, seconds."""
    hop_best: Seconds
    """Best estimate of the same, seconds."""
    hop_high: Seconds
    """Optimist's time of the same, seconds."""
    adapter: Money
    """USD per machine without a built-in adapter."""
    cable: Money
    """USD per machine."""
    switch: Money
    """USD once, when more than `direct` machines are joined."""
    direct: int
    """Machines that can be joined without a switch."""
    ports: int
    """Machines it joins at most: the ports of one switch, or `direct` where there is no switch."""


class Quantization(Row):
    """One way to store weights, as people name it."""

    kind: Literal["gguf", "checkpoint"]
    """A mix of a GGUF file, or a format of checkpoints."""
    nominal_bits: Decimal | None = None
    """Bits per weight as the requirements pages state them."""
    quality: str
    """One line for people."""
    rank: int
    """Order of quality, higher is better; ties do not occur within a kind."""
    imatrix: bool = False
    """Whether files of this mix are made with an importance matrix by convention."""


class Repository(Value):
    """Where a published file can be fetched."""

    kind: Literal["gguf", "checkpoint"]
    """What sort of files it holds."""
    id: str
    """Its name on the hub, `owner/name`."""
    quantizations: tuple[str, ...]
    """Quantizations published there; empty is unknown."""
    complete: bool = False
    """Whether `quantizations` are all that is published there; else there may be more."""
    source: str
    """Where this was read."""


class ModelRow(Row):
    """One model: its published config fields and names."""

    title: str
    """Name for people."""
    publisher: str
    """Who published the weights."""
    family: str = ""
    """Line of models it belongs to, in lower case, e.g. `llama`; as `--family` takes it."""
    aliases: tuple[str, ...] = ()
    """Other names, published ids among them; case does not matter, nor the owner of an id."""
    released: datetime.date | None = None
    """Day the publisher opened its repository."""
    license: str = ""
    """Name of the licence of the weights."""
    parameters: int
    """Published or counted total of the text network without MTP blocks."""
    page_parameters: int | None = None
    """Total a public requirements page uses, where it differs."""
    recommended: str
    """Quantization taken without a budget."""
    usual: str = ""
    """How it is usually served where that is not llama.cpp, one line; empty where not known."""
    repositories: tuple[Repository, ...] = ()
    """Where files can be fetched."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Fields of the published config.json that describe the network."""
    file: str = ""
    """GGUF file the network and its tensors are read from, instead of `config`."""
    folder: str = ""
    """Folder of the checkpoint, where the model was given as one; its headers can be read."""

    @model_validator(mode="after")
    def _described_once(self) -> ModelRow:
        """A network is described by a config or by a file."""
        if bool(self.config) == bool(self.file):
            raise ValueError("give either config or file")
        return self


class EngineBuild(Row):
    """One build of an engine whose rules are known."""

    engine: str
    """Name of the engine, e.g. `llama.cpp`."""
    default: bool = False
    """Whether it is taken where none is asked for."""
    rpc_pipelines: bool = False
    """llama.cpp: whether pipelining over RPC devices keeps several copies of the inputs."""
    mtp_has_kv: bool = False
    """llama.cpp: whether MTP blocks get a KV cache though they are not run."""
    max_devices: int | None = None
    """llama.cpp: offload devices one process can use; other engines have no such limit."""

    @model_validator(mode="after")
    def _limited(self) -> EngineBuild:
        """The limit of devices is llama.cpp's, and it always has one."""
        if (self.engine == "llama.cpp") != (self.max_devices is not None):
            raise ValueError("max_devices is for llama.cpp, which needs it")
        return self


class Calibration(Row):
    """How one class of devices keeps up with its data sheet: single stream, llama.cpp.

    An efficiency is the share of the data sheet's rate that the fitted formula reaches; the
    figures absorb each other, so they are no kernel efficiencies.
    """

    title: str
    """The class in words."""
    measured: bool
    """Whether runs of this class were fitted; False is a prior."""
    basis: str
    """What was measured, in words; empty for a prior."""
    float_efficiency: float = Field(gt=0)
    """Share of memory bandwidth reading 16-bit and 32-bit weights."""
    quantized_efficiency: float = Field(gt=0)
    """Share of memory bandwidth reading quantized weights."""
    kv_efficiency: float | None = None
    """Share of memory bandwidth reading the KV cache; None takes the prior."""
    layer_overhead: float = Field(ge=0)
    """Seconds per layer and token that no byte explains."""
    prefill_float: float = Field(gt=0)
    """Share of the compute rate in prefill, before saturation, 16-bit weights."""
    prefill_quantized: float = Field(gt=0)
    """The same with quantized weights."""
    prefill_attention: float = Field(gt=0)
    """Of these, the part that attention reaches without flash attention."""
    decode_error_median: float | None = None
    """Median error of the decode time on devices left out of the fit: 0.1 is a factor of 1.1
    either way."""
    decode_error_p90: float = Field(ge=0)
    """90th percentile of the same, or the assumption of a prior; the band of estimates."""
    prefill_error_median: float | None = None
    """Median error of the prefill time on devices left out of the fit."""
    prefill_error_p90: float = Field(ge=0)
    """90th percentile of the same, or the assumption of a prior."""


class ServingRate(Row):
    """How one generation of devices keeps up with its data sheet in vLLM and SGLang.

    Shares absorb each other in the fit, so they are no kernel efficiencies.
    """

    title: str
    """The class in words."""
    architectures: tuple[str, ...]
    """Generations of it, as the `architecture` of GPU rows with HBM; empty is everything else."""
    measured_on: tuple[str, ...] = ()
    """GPU rows with runs."""
    basis: str = ""
    """What was measured, in words; empty for a prior."""
    weights: float = Field(gt=0)
    """Share of memory bandwidth reading weights every token needs."""
    experts: float = Field(gt=0)
    """Share of memory bandwidth reading routed experts in 16 bits."""
    experts_float8: float = Field(gt=0)
    """The same in formats of about 8 bits a weight."""
    experts_float4: float = Field(gt=0)
    """The same in formats of about 4 bits a weight."""
    cache: float = Field(gt=0)
    """Share of memory bandwidth reading the KV cache."""
    half: float = Field(gt=0)
    """Share of the dense FP16 rate."""
    float8: float = Field(gt=0)
    """Share of the dense FP8 rate."""
    float4: float = Field(gt=0)
    """Share of twice the FP8 rate where there are FP4 units, else of the FP16 rate."""
    layer_overhead: float = Field(ge=0)
    """Seconds per layer and step that no byte explains."""
    decode_error_median: float | None = None
    """Median error of the time per token on models left out of the fit: 0.1 is 10 % off."""
    decode_error_p90: float = Field(ge=0)
    """90th percentile of the same, or the assumption of a prior."""
    dense_band: float = Field(ge=0)
    """What low and high allow for without routed experts: 0.2 is a factor of 1.2 either way."""
    mixture_band: float = Field(ge=0)
    """The same with routed experts."""
    prior: dict[str, float] = Field(default_factory=dict)
    """What the fit was drawn to, by field."""


class ServingEngine(Row):
    """What a step costs in vLLM or SGLang beside bytes and arithmetic."""

    layer_factor: float = Field(gt=0)
    """Times the layer overhead of the class of devices."""
    mixture_overhead: float = Field(ge=0)
    """Seconds more per layer with routed experts."""
    latent_overhead: float = Field(ge=0)
    """Seconds more per layer with latent attention."""
    indexer_overhead: float = Field(ge=0)
    """Seconds more per layer whose attention looks at tokens an indexer chooses."""
    state_overhead: float = Field(ge=0)
    """Seconds more per layer that keeps a state instead of a cache."""
    step_overhead: float = Field(ge=0)
    """Seconds per step: scheduling and sampling."""
    sequence_overhead: float = Field(ge=0)
    """Seconds per step and sequence in it."""
    all_reduce: float = Field(gt=0)
    """Times the all-reduces of vLLM and SGLang."""
    prompts: float = Field(ge=0)
    """Share of a prompt's arithmetic that users decoding beside it wait for."""
    first_token: float = Field(ge=0)
    """Seconds of a first token beside its prompt's passes."""
    prior: dict[str, float] = Field(default_factory=dict)
    """What the fit was drawn to, by field."""


Path = Literal["direct", "switch", "root", "socket", "network"]
"""Farthest hop between neighbours of a group: over links of their own or the switch of these;
through a PCIe switch; through a root complex; between CPU sockets; between machines."""


class RankTimes(Value):
    """What a collective of so many devices took."""

    ranks: int = Field(gt=1)
    """Devices taking part."""
    path: Path = "direct"
    """Farthest hop between neighbours."""
    seconds: tuple[Seconds, Seconds, Seconds, Seconds]
    """Of the smallest message, of 16 KiB, of 1 MiB, and of the row's `largest`."""


class Collective(Row):
    """What a collective took on one device model, alone, by message size."""

    gpu: str
    """GPU row of the devices."""
    link: str
    """Link row that joins them."""
    operation: Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all"]
    """What was done; of an all-gather the message is what every device has in the end."""
    software: Literal["vllm", "sglang", "trtllm", "nccl"]
    """Whose kernels: an engine's own, or NCCL's."""
    version: str
    """Of the software."""
    largest: Size
    """Largest message, bytes."""
    times: tuple[RankTimes, ...]
    """By number of devices."""


class Prior(Row):
    """One quantity nobody has measured well enough: three cases, `low` the pessimist's."""

    title: str
    """The quantity in words."""
    unit: str
    """Unit of the three cases."""
    low: float
    """Pessimist's case."""
    best: float
    """Best estimate."""
    high: float
    """Optimist's case."""
