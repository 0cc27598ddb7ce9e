"""The answer: Plan | Infeasible, versioned JSON. Values only: nothing here computes.

Bytes, seconds, tokens/s, USD and watts throughout (schema_version 1).
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from planner.request import EvaluateRequest, PlanRequest
from planner.values import Range, Value

SCHEMA_VERSION = 1
Verdict = Literal["fits", "tight", "no"]


class ModelSummary(Value):
    """The model as planned; MTP blocks are not counted as layers."""

    name: str
    quant: str
    parameters: int
    active_parameters: int
    layers: int
    file_bytes: int
    """Tensor bytes of the weight file."""
    context: int
    """Tokens per request of this plan."""
    concurrency: int


class Engine(Value):
    """Engine, build, and the settings the plan was made for (each becomes a flag)."""

    name: str
    build: str
    context: int
    """llama.cpp `-c`: the pool of all slots, tokens."""
    slots: int
    """llama.cpp `-np`."""
    ubatch: int
    batch: int
    flash_attention: bool
    kv_type: str
    swa_full: bool = False


class ClusterNode(Value):
    """One node type of the cluster, prices per node; null where there is none."""

    node_type: str
    title: str
    count: int
    machines: int
    """Machines in one node of this type (2 for a linked pair)."""
    gpu: str
    gpus_per_node: int
    family: str | None = None
    """Software family of its devices (`cuda`, `rocm`, `metal`, ...); null where not noted."""
    purchase_usd: float | None
    purchase_low_usd: float | None
    purchase_high_usd: float | None
    hourly_usd: float | None
    price_source: str
    price_date: str | None
    power_w: float | None
    rack_units: float | None
    setting_command: str | None = None
    """Command that must be run on the machine to have the planned memory."""


class Cost(Value):
    """Money and power of the whole cluster."""

    purchase_usd: float | None
    purchase_low_usd: float | None
    purchase_high_usd: float | None
    network_usd: float
    network: str | None
    """Network row that joins the nodes; null for one node."""
    hourly_usd: float | None
    power_w: float | None
    rack_units: float | None
    remaining_usd: float | None
    """Left of the budget (purchase or per hour); null without a budget."""


class Layout(Value):
    """Degrees of each parallelism."""

    tensor_parallel: int = 1
    pipeline_parallel: int
    expert_parallel: int = 1
    data_parallel: int = 1
    decode_context_parallel: int = 1
    replicas: int = 1


class MemoryBudget(Value):
    """What one device or host holds, bytes; total is the sum of the parts."""

    weights: int
    kv_cache: int
    compute: int
    runtime: int
    reserve: int
    total: int


class Device(Value):
    """One device, its part of the model and its memory."""

    id: str
    """Unique in the plan: `<node>.<index>`."""
    node: str
    """The machine: `<node type>-<number>`."""
    gpu: str
    replica: int
    stage: int | None
    """Pipeline stage from 0; null for a device that idles."""
    first_layer: int | None
    last_layer: int | None
    output: bool
    experts: int | None
    """Routed experts per mixture-of-experts layer held here; null for a dense model."""
    slots: int
    """Integer of `-ts`: layers, MTP blocks and the output slot."""
    capacity_bytes: int | None
    """Memory free on the idle device; null for a device nobody named."""
    headroom_bytes: int | None
    """Capacity less total."""
    budget: MemoryBudget


class Host(Value):
    """Memory of one machine outside its devices (or shared with them: `unified`)."""

    node: str
    memory_bytes: int | None
    unified: bool
    """True where host and device share memory; the host's part is then in the device's budget."""
    budget: MemoryBudget


class Term(Value):
    """One named part of a decode step, seconds."""

    name: str
    seconds: Range


class Performance(Value):
    """Speed with `depth` tokens in the cache of every user."""

    depth: int
    ttft: Range
    tpot: Range
    tokens_per_second: Range
    """Of all users together."""
    tokens_per_second_per_user: Range
    terms: tuple[Term, ...]
    calibration: str
    """What the range stands on, or `uncalibrated: ...`."""


class Prefill(Value):
    """Time to first token of a prompt of `tokens` on an empty cache."""

    tokens: int
    ttft: Range
    usable: bool
    """False where even the optimist waits over a minute."""


class Solver(Value):
    """How the answer was proved."""

    status: Literal["optimal", "feasible", "evaluated"]
    objective: float | None
    bound: float | None
    gap: float | None
    unit: str
    space: str
    """The set of plans the bound holds for, in words."""
    deterministic_time: float
    seed: int


class Remedy(Value):
    """One change that gives the tightest device more room, tried."""

    change: str
    headroom_bytes: int
    """Of the tightest device after the change."""
    verdict: Verdict
    option: str | None = None
    """Options that make the change, where the command line has them."""


class Body(Value):
    """A full plan body: one choice of cluster with its split."""

    cluster: tuple[ClusterNode, ...]
    cost: Cost
    layout: Layout
    verdict: Verdict
    devices: tuple[Device, ...]
    hosts: tuple[Host, ...]
    performance: tuple[Performance, ...]
    prefill: tuple[Prefill, ...]
    solver: Solver


class Choices(Value):
    """The three choices; null where prices make one meaningless."""

    cheapest: Body | None
    best_value: Body | None
    fastest: Body | None


class Alternative(Value):
    """A different way: what it is and what it trades against the cheapest."""

    name: str
    trades: str
    body: Body


class Headroom(Value):
    """What the free memory of the cheapest choice still buys."""

    context: int
    """Largest context per request with the asked concurrency, tokens."""
    concurrency: int
    """Most users with the asked context."""


class NextQuantization(Value):
    """The next better quantization and its cheapest plan; cost null where none is feasible."""

    quant: str
    file_bytes: int
    cost_usd: float | None


class Sensitivity(Value):
    """Whether low or high prices change the cheapest choice."""

    level: Literal["low", "high"]
    cluster: str | None
    """Cheapest cluster at these prices; null where the budget no longer suffices."""
    cost_usd: float | None
    changed: bool


class Excluded(Value):
    """Hardware kept out of the search, why, and what leaving it out costs."""

    reason: str
    nodes: tuple[str, ...]
    saving_usd: float | None
    """How much cheaper the cheapest plan would be with them; 0 where no cheaper; null unknown."""
    option: str | None = None
    """Option that lets them in, where there is one."""


class Download(Value):
    """The file to fetch."""

    repository: str | None
    quant: str
    bytes: int
    shards: int | None = None
    """Files it is published in; null where unknown."""
    disk_bytes: int
    """Free disk the head node needs."""
    load_seconds: float | None
    """Time to send the remote part of the weights over the slowest link; null for one machine."""


class Plan(Body):
    """The cheapest choice, with everything around it."""

    kind: Literal["plan"] = "plan"
    schema_version: int = SCHEMA_VERSION
    request: PlanRequest
    model: ModelSummary
    engine: Engine
    choices: Choices
    alternatives: tuple[Alternative, ...]
    remedies: tuple[Remedy, ...]
    headroom: Headroom | None
    next_quantization: NextQuantization | None
    sensitivity: tuple[Sensitivity, ...]
    excluded: tuple[Excluded, ...]
    download: Download | None
    rent_usd_per_hour: Range | None
    """Rent of the same devices, cheapest to dearest offer; null where nobody rents them."""
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    next_commands: tuple[str, ...]
    planner_version: str
    catalog_digest: str


class Evaluation(Body):
    """A layout the user named, with the memory of every device."""

    kind: Literal["evaluation"] = "evaluation"
    schema_version: int = SCHEMA_VERSION
    request: EvaluateRequest
    model: ModelSummary
    engine: Engine
    remedies: tuple[Remedy, ...] = ()
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    planner_version: str
    catalog_digest: str


class Conflict(Value):
    """One limit that takes part in the contradiction."""

    limit: str
    value: str
    detail: str


class Relaxation(Value):
    """One change of one limit; feasible with it, infeasible one step short of it."""

    change: str
    from_: str = Field(alias="from")
    to: str | None
    """None: no value of this limit helps."""
    cost_usd: float | None
    command: str | None

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Infeasible(Value):
    """No plan exists in the space searched; what conflicts and what would fix it."""

    kind: Literal["infeasible"] = "infeasible"
    schema_version: int = SCHEMA_VERSION
    request: PlanRequest
    model: ModelSummary
    conflicts: tuple[Conflict, ...]
    relaxations: tuple[Relaxation, ...]
    space: str
    assumptions: tuple[str, ...]
    planner_version: str
    catalog_digest: str


Outcome = Plan | Infeasible
