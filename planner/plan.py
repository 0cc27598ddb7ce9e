"""The answer: Plan | Infeasible, versioned JSON. Values only: nothing here computes.

Bytes, seconds, tokens/s, USD and watts throughout (schema_version 1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from planner.request import EvaluateRequest, PlanRequest
from planner.values import Range, Value

SCHEMA_VERSION = 1
Verdict = Literal["fits", "tight", "no"]


class ModelSummary(Value):
    """The model as planned; MTP blocks are not counted as layers."""

    name: str
    """Name of its catalog row."""
    quant: str
    """Quantization of the weights."""
    parameters: int
    """Weights of the network."""
    active_parameters: int
    """Weights one token is multiplied with."""
    layers: int
    """Transformer blocks."""
    file_bytes: int
    """Tensor bytes of the weight file."""
    context: int
    """Tokens per request of this plan."""
    concurrency: int
    """Simultaneous requests of this plan."""


class LlamaCpp(Value):
    """llama.cpp, its build, and the settings the plan was made for (each becomes a flag)."""

    name: Literal["llama.cpp"] = "llama.cpp"
    """Name of the engine."""
    build: str
    """Build whose rules were applied."""
    context: int
    """llama.cpp `-c`: the pool of all slots, tokens."""
    slots: int
    """llama.cpp `-np`."""
    ubatch: int
    """llama.cpp `-ub`, tokens."""
    batch: int
    """llama.cpp `-b`, tokens."""
    flash_attention: bool
    """llama.cpp `-fa`."""
    kv_type: str
    """llama.cpp `-ctk` and `-ctv`."""
    swa_full: bool = False
    """llama.cpp `--swa-full`."""


class Serving(Value):
    """vLLM or SGLang, its version, and the settings the plan was made for.

    Each becomes a flag, so that the engine's own defaults decide nothing.
    """

    name: Literal["vllm", "sglang"]
    """Name of the engine."""
    build: str
    """Version whose rules were applied."""
    context: int
    """`--max-model-len`, `--context-length`: tokens of the longest request."""
    utilization: float
    """`--gpu-memory-utilization`, `--mem-fraction-static`."""
    max_num_seqs: int
    """`--max-num-seqs`, `--max-running-requests`: requests in one step."""
    max_num_batched_tokens: int
    """`--max-num-batched-tokens`, `--chunked-prefill-size`: tokens in one step."""
    kv_type: str
    """`--kv-cache-dtype`; `auto` is the model's own 16 bits."""


Engine = Annotated[LlamaCpp | Serving, Field(discriminator="name")]


class ClusterNode(Value):
    """One node type of the cluster, prices per node; null where there is none."""

    node_type: str
    """Name of its catalog row."""
    title: str
    """Name for people."""
    count: int
    """Nodes of this type."""
    machines: int
    """Machines in one node of this type (2 for a linked pair)."""
    gpu: str
    """GPU row of its devices."""
    gpus_per_node: int
    """Devices in one node."""
    family: str | None = None
    """Software family of its devices (`cuda`, `rocm`, `metal`, ...); null where not noted."""
    purchase_usd: float | None
    """Price of one node, the middle one."""
    purchase_low_usd: float | None
    """Lowest price of one node."""
    purchase_high_usd: float | None
    """Highest price of one node."""
    hourly_usd: float | None
    """Rent of one node per hour."""
    price_source: str
    """Where the price was read; of a built node, of all its parts."""
    price_date: str | None
    """Day the price held; of several, the oldest."""
    power_w: float | None
    """Of one node at the wall under full load."""
    rack_units: float | None
    """Height of one node."""
    setting_command: str | None = None
    """Command that must be run on the machine to have the planned memory."""


class Cost(Value):
    """Money and power of the whole cluster."""

    purchase_usd: float | None
    """All nodes and the network."""
    purchase_low_usd: float | None
    """The same at the lowest prices."""
    purchase_high_usd: float | None
    """The same at the highest prices."""
    network_usd: float
    """Adapters, cables and switch; in the sums above."""
    network: str | None
    """Network row that joins the nodes; null for one node."""
    hourly_usd: float | None
    """Rent of all nodes per hour."""
    power_w: float | None
    """All nodes under full load."""
    rack_units: float | None
    """Height of all nodes."""
    remaining_usd: float | None
    """Left of the budget (purchase or per hour); null without a budget."""


class Layout(Value):
    """Degrees of each parallelism."""

    tensor_parallel: int = 1
    """Devices each layer of a stage is cut over."""
    pipeline_parallel: int
    """Stages; in llama.cpp the devices that hold layers."""
    expert_parallel: int = 1
    """Devices routed experts are dealt out to, whole; 1 where each is cut."""
    data_parallel: int = 1
    """Replicas of attention: on devices of their own in vLLM, on those of a stage in SGLang."""
    decode_context_parallel: int = 1
    """Devices one sequence's cache is dealt out to in decoding."""
    replicas: int = 1
    """Independent copies of the model."""
    redundant_experts: int = 0
    """Copies of routed experts beside the originals, all devices together."""
    partition: tuple[int, ...] = ()
    """Layers of each stage of a grid; empty for llama.cpp, whose devices say theirs."""


class MemoryBudget(Value):
    """What one device or host holds, bytes; total is the sum of the parts."""

    weights: int
    """Tensors of the weight file."""
    kv_cache: int
    """Keys and values of the whole context of all requests."""
    compute: int
    """What the engine's graph allocator reserves."""
    runtime: int
    """Driver context, libraries, pools, and what a backend adds."""
    reserve: int
    """Safety margin that is kept free."""
    total: int


class Device(Value):
    """One device, its part of the model and its memory."""

    id: str
    """Unique in the plan: `<node>.<index>`."""
    node: str
    """The machine: `<node type>-<number>`."""
    gpu: str
    """GPU row."""
    replica: int
    """Which copy of the model, from 0."""
    stage: int | None
    """Pipeline stage from 0; null for a device that idles."""
    first_layer: int | None
    """First layer, from 0; null where it holds none."""
    last_layer: int | None
    """Last layer, included."""
    output: bool
    """Whether it holds the output layer."""
    experts: int | None
    """Routed experts per mixture-of-experts layer held here; null for a dense model."""
    slots: int
    """Layers, MTP blocks that are stored, and the output; llama.cpp's integer of `-ts`."""
    capacity_bytes: int | None
    """Memory free on the idle device; null for a device nobody named."""
    headroom_bytes: int | None
    """Capacity less total."""
    budget: MemoryBudget
    """What it holds."""


class Host(Value):
    """Memory of one machine outside its devices (or shared with them: `unified`)."""

    node: str
    """The machine, as in `devices`."""
    memory_bytes: int | None
    """Memory of the machine; null where unknown."""
    unified: bool
    """True where host and device share memory; the host's part is then in the device's budget."""
    budget: MemoryBudget
    """What it holds."""


class Term(Value):
    """One named part of a decode step, seconds."""

    name: str
    """What the time goes into."""
    seconds: Range


class Performance(Value):
    """Speed with `depth` tokens in the cache of every user."""

    depth: int
    """Tokens in the cache."""
    ttft: Range
    """Time to first token of the workload's prompt."""
    tpot: Range
    """Time per output token of one user."""
    tokens_per_second: Range
    """Of all users together."""
    tokens_per_second_per_user: Range
    """Of one user."""
    terms: tuple[Term, ...]
    """What the time of one token goes into."""
    calibration: str
    """What the range stands on, or `uncalibrated: ...`."""


class Prefill(Value):
    """Time to first token of a prompt of `tokens` on an empty cache."""

    tokens: int
    """Length of the prompt."""
    ttft: Range
    """Time to its first token."""
    usable: bool
    """False where even the optimist waits over a minute."""


class Solver(Value):
    """How the answer was proved."""

    status: Literal["optimal", "feasible", "evaluated"]
    """`optimal` is proved; `feasible` ran out of time; `evaluated` was named by the user."""
    objective: float | None
    """What was made least, in `unit`."""
    bound: float | None
    """No plan of the space has less."""
    gap: float | None
    """(objective - bound) / objective."""
    unit: str
    """Unit of objective and bound."""
    space: str
    """The set of plans the bound holds for, in words."""
    deterministic_time: float
    """Seconds on the solver's own clock, the same on every machine."""
    seed: int
    """Seed of the solver."""


class Bytes(Value):
    """A size known between bounds: `low` is the least, `high` the most, `best` the likeliest."""

    low: int
    best: int
    high: int


class WeightShare(Value):
    """So many bytes of one sort of weights."""

    name: str
    """What they belong to, e.g. `experts`; `beside` is what is kept beside the text network."""
    bytes: int


class RankShare(Value):
    """What each rank of a class holds: those of a stage, or those with one more expert."""

    stage: int
    """Pipeline stage from 0."""
    ranks: int
    """Ranks of the class."""
    experts: int
    """Routed experts held per mixture-of-experts layer."""
    weights: tuple[WeightShare, ...]
    """Weights by what they belong to."""
    loaded: Bytes
    """All of them, with what kernels keep beside them."""
    compute: Bytes
    """Peak of activations, and CUDA graphs."""
    runtime: Bytes
    """Outside the engine's allocator: context, kernels, communicators."""


class KvPool(Value):
    """What the KV cache of an engine that fills its devices then holds."""

    tokens: Bytes
    """Tokens of one data-parallel replica's pool, low to high."""
    requests: Range
    """Requests of the full context that all replicas hold at once."""
    longest: Bytes
    """Tokens of the longest single request, low to high."""


class Remedy(Value):
    """One change that gives the tightest device more room, tried."""

    change: str
    """The change in words."""
    headroom_bytes: int
    """Of the tightest device after the change."""
    verdict: Verdict
    """Whether it fits then."""
    option: str | None = None
    """Options that make the change, where the command line has them."""


class Body(Value):
    """A full plan body: one choice of cluster with its split."""

    cluster: tuple[ClusterNode, ...]
    """Node types and how many of each."""
    cost: Cost
    """Money and power of all of it."""
    layout: Layout
    """Degrees of each parallelism."""
    verdict: Verdict
    """`tight` is a device with under 2 % of its memory free; `no` does not fit."""
    devices: tuple[Device, ...]
    """Every device, in pipeline order; idle ones last in their node."""
    hosts: tuple[Host, ...]
    """Every machine."""
    performance: tuple[Performance, ...]
    """At the workload's depth, then with the full context."""
    prefill: tuple[Prefill, ...]
    """Of a short and of a long prompt."""
    solver: Solver
    """The proof."""
    remedies: tuple[Remedy, ...] = ()
    """What gives the tightest device more room, tried; empty where the plan fits."""
    ranks: tuple[RankShare, ...] = ()
    """Every class of ranks of a grid, with the bounds of what is not exact; none for llama.cpp."""
    kv_pool: KvPool | None = None
    """What the pool holds; null for llama.cpp, which allocates what is asked."""
    rent_usd_per_hour: Range | None = None
    """Rent of the same devices on demand, dearest, middle and cheapest offer; null where none."""


class Choices(Value):
    """The three choices; null where prices make one meaningless."""

    cheapest: Body | None
    """Least cost; the same as the top level."""
    best_value: Body | None
    """Most output tokens per second and dollar."""
    fastest: Body | None
    """Least time per token within the budget."""


class Alternative(Value):
    """A different way: what it is and what it trades against the cheapest."""

    name: str
    """The cluster in words."""
    trades: str
    """What it gives and takes against the cheapest, in words."""
    body: Body
    """The plan."""


class Headroom(Value):
    """What the free memory of the cheapest choice still buys."""

    context: int
    """Largest context per request with the asked concurrency, tokens."""
    concurrency: int
    """Most users with the asked context."""
    tokens_per_second_per_user: float | None = None
    """What each of that many users would get, best estimate."""


class NextQuantization(Value):
    """The next better quantization and its cheapest plan; cost null where none is feasible."""

    quant: str
    """Name of the quantization."""
    file_bytes: int
    """Size of its weight file."""
    cost_usd: float | None


class Sensitivity(Value):
    """Whether low or high prices change one of the choices."""

    level: Literal["low", "high"]
    choice: Literal["cheapest", "best_value", "fastest"] = "cheapest"
    """Which prices."""
    cluster: str | None
    """Cheapest cluster at these prices; null where the budget no longer suffices."""
    cost_usd: float | None
    changed: bool
    """Whether it is another cluster."""


class Excluded(Value):
    """Hardware kept out of the search, why, and what leaving it out costs."""

    reason: str
    """Why, in words."""
    nodes: tuple[str, ...]
    """Node types left out for this reason; empty for a limit."""
    saving_usd: float | None
    """How much cheaper the cheapest plan would be with them; 0 where no cheaper; null unknown."""
    option: str | None = None
    """Option that lets them in, where there is one."""


class Download(Value):
    """The file to fetch."""

    repository: str | None
    """Where it is published; null where not known."""
    quant: str
    """Quantization of the file."""
    bytes: int
    """Size of all its parts."""
    shards: int | None = None
    """Files it is published in; null where unknown."""
    disk_bytes: int
    """Free disk the head node needs."""
    load_seconds: float | None
    """Time to send the remote part of the weights over the slowest link; null for one machine."""


class Head(Value):
    """What an answer about a cluster begins with."""

    kind: str
    """Which answer it is."""
    schema_version: int = SCHEMA_VERSION
    """Version of this form."""
    model: ModelSummary
    """The model as planned."""
    engine: Engine
    """Engine and settings."""


class Plan(Body, Head):
    """The cheapest choice, with everything around it."""

    kind: Literal["plan"] = "plan"
    request: PlanRequest
    """What was asked."""
    choices: Choices
    """The three choices, each a full body."""
    alternatives: tuple[Alternative, ...]
    """Other ways, cheapest first."""
    headroom: Headroom | None
    """What the free memory still buys."""
    next_quantization: NextQuantization | None
    """The next better one; null where there is none."""
    sensitivity: tuple[Sensitivity, ...]
    """At low and at high prices."""
    excluded: tuple[Excluded, ...]
    """What was left out of the search."""
    download: Download | None
    """The file to fetch."""
    assumptions: tuple[str, ...]
    """What was assumed, in words."""
    warnings: tuple[str, ...]
    """What could go wrong, in words."""
    next_commands: tuple[str, ...]
    """Commands to run next."""
    planner_version: str
    """Version that made it."""
    catalog_digest: str
    """SHA-256 of all catalog files read."""


class Evaluation(Body, Head):
    """A layout the user named, with the memory of every device."""

    kind: Literal["evaluation"] = "evaluation"
    request: EvaluateRequest
    """What was asked."""
    assumptions: tuple[str, ...] = ()
    """What was assumed, in words."""
    warnings: tuple[str, ...] = ()
    """What could go wrong, in words."""
    planner_version: str
    """Version that made it."""
    catalog_digest: str
    """SHA-256 of all catalog files read."""


class Conflict(Value):
    """One limit that takes part in the contradiction."""

    limit: str
    """Name of the limit."""
    value: str
    """What was asked."""
    detail: str
    """What stands against it, in words."""


class Relaxation(Value):
    """One change of one limit; feasible with it, infeasible one step short of it."""

    change: str
    """Name of the limit."""
    from_: str = Field(alias="from")
    """What was asked."""
    to: str | None
    """None: no value of this limit helps."""
    cost_usd: float | None
    """What the cheapest plan then costs."""
    command: str | None
    """Command that asks again with the change."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Infeasible(Value):
    """No plan exists in the space searched; what conflicts and what would fix it."""

    kind: Literal["infeasible"] = "infeasible"
    schema_version: int = SCHEMA_VERSION
    request: PlanRequest
    """What was asked."""
    model: ModelSummary
    """The model as planned."""
    engine: str
    """Name of the engine."""
    build: str
    """Build whose rules were applied."""
    conflicts: tuple[Conflict, ...]
    """The limits that contradict each other."""
    relaxations: tuple[Relaxation, ...]
    """One change per limit that helps, or that it cannot help alone."""
    space: str
    """The set of plans that was searched, in words."""
    assumptions: tuple[str, ...]
    """What was assumed, in words."""
    planner_version: str
    """Version that made it."""
    catalog_digest: str
    """SHA-256 of all catalog files read."""


Outcome = Plan | Infeasible


def judged(calibration: str, range_: Range) -> float:
    """The case of a time that a target is judged by: low where it is calibrated, else best."""
    return range_.best if "uncalibrated" in calibration else range_.low
