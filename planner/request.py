"""PlanRequest: what was asked, nothing derived. Values only."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from planner.values import Value

KvType = Literal[
    "f32",
    "f16",
    "bf16",
    "q8_0",
    "q5_1",
    "q5_0",
    "q4_1",
    "q4_0",
    "iq4_nl",
    "fp8",
    "fp8_ds_mla",
    "nvfp4_ds_mla",
]
EngineName = Literal["llama.cpp", "vllm", "sglang"]


class Stock(Value):
    """How many nodes of one type can be had."""

    node: str
    count: int


class PlanRequest(Value):
    """One question to the planner, as typed; None means the documented default."""

    model: str
    """Model name, alias or published id; a config.json, its folder or a GGUF file."""
    quant: str = "auto"
    """Quantization, or `auto`."""
    engine: EngineName | Literal["auto"] | None = None
    """Serving engine, `auto` for the best of all that load the quantization; left out, llama.cpp
    for GGUF and vLLM for checkpoints."""
    engine_build: str | None = None
    """Build whose rules are applied; left out, the newest whose rules are known."""
    context: int | None = None
    """Tokens one request may hold; left out, the model's full window."""
    concurrency: int = 1
    """Simultaneous requests, each with its own context."""
    budget: Decimal | None = None
    """Most the hardware and its network may cost to buy, USD."""
    budget_per_hour: Decimal | None = None
    """Most the hardware may cost to rent, USD per hour."""
    min_speed: float = 10.0
    """Tokens per second each user gets at least at the workload's depth; 0 lifts it."""
    ttft: float | None = None
    """Longest wait for the first token of the workload's prompt, alone and on idle machines,
    seconds."""
    tpot: float | None = None
    """Longest time per output token of each user at the workload's depth, seconds."""
    throughput: float | None = None
    """Tokens per second all users get together at least, at the workload's depth."""
    input_tokens: int = 4000
    """Prompt tokens of the workload."""
    output_tokens: int = 1000
    """Generated tokens of the workload."""
    kv_type: KvType = "f16"
    """Type of the K and V cache."""
    ubatch: int = 512
    """llama.cpp physical batch, tokens."""
    stock: tuple[Stock, ...] = ()
    """Limits on how many nodes of a type can be had."""
    only: tuple[str, ...] = ()
    """Nodes, GPUs or vendors the plan is made of; empty is all."""
    exclude: tuple[str, ...] = ()
    """Nodes, GPUs or vendors left out."""
    used: bool = False
    """Whether used hardware may be bought."""
    mixed_families: bool = False
    """Whether CUDA, ROCm and Metal devices may share a replica."""
    max_nodes: int = 4
    """Most machines of one replica; a linked pair counts as two."""
    time_limit: float = 60.0
    """Deterministic seconds the solver may take."""

    @property
    def depth(self) -> int:
        """Tokens in the cache half-way through the workload's answer, where speed is judged."""
        return self.input_tokens + self.output_tokens // 2


class NodeCount(Value):
    """So many nodes of one type, side by side in the layout."""

    node: str
    count: int


class EvaluateRequest(Value):
    """A layout the user names: what does each device hold, and does it fit."""

    model: str
    """Model name, alias or published id; a config.json, its folder or a GGUF file."""
    quant: str = "auto"
    """Quantization, or `auto`."""
    engine: EngineName | None = None
    """Serving engine; left out, llama.cpp for GGUF and vLLM for checkpoints."""
    engine_build: str | None = None
    """Build whose rules are applied; left out, the newest whose rules are known."""
    nodes: tuple[NodeCount, ...] = ()
    """Nodes of the layout, in order."""
    devices: int | None = None
    """Unnamed devices instead of nodes: memory only, no capacity, no speed."""
    split: tuple[int, ...] | None = None
    """Slots per device: layers, MTP blocks and one for the output; of vLLM and SGLang layers per
    stage; left out, even."""
    context: int | None = None
    """llama.cpp `-c`: the pool of all slots, tokens; of vLLM and SGLang the longest request; left
    out, the full window."""
    slots: int = 1
    """Requests held at once, each with its context: llama.cpp `-np`."""
    tensor_parallel: int | None = None
    """Devices each layer is cut over; left out, all that the other degrees leave."""
    pipeline_parallel: int = 1
    """Stages, each with the same number of devices."""
    data_parallel: int = 1
    """Replicas of attention: on devices of their own in vLLM, on those of a stage in SGLang."""
    expert_parallel: int = 1
    """Devices routed experts are dealt out to, whole; 1 cuts each."""
    decode_context_parallel: int = 1
    """Devices one sequence's cache is dealt out to in decoding."""
    redundant_experts: int = 0
    """Copies of routed experts beside the originals, all devices together."""
    utilization: float | None = None
    """vLLM's share of a device, SGLang's static share of it; left out, the version's default."""
    max_num_batched_tokens: int | None = None
    """Tokens in one step, SGLang's prefill chunk; left out, the version's default."""
    max_num_seqs: int | None = None
    """Requests in one step; left out, the version's default."""
    kv_type: KvType = "f16"
    """Type of the K and V cache."""
    ubatch: int = 512
    """llama.cpp physical batch, tokens."""
    flash_attention: bool = True
    """llama.cpp `-fa`: whether the fused attention kernel is used."""
    swa_full: bool = False
    """llama.cpp `--swa-full`: sliding-window layers keep the whole context."""
