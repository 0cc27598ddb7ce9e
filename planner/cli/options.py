"""Every option of the command line, once: name, parser and help (the text of its field).

Imported for `--help`: typer and the standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from planner.cli import parsing

KV_TYPES = (
    *("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"),
    *("fp8", "fp8_ds_mla", "nvfp4_ds_mla"),
)
ENGINES = ("llama.cpp", "vllm", "sglang")
EVERY_ENGINE = ("auto", *ENGINES)
SWITCH = ("on", "off")
METHODS = ("true", "nominal")

T = TypeVar("T")


def _reads(read: Callable[[str, str], T], option: str) -> Callable[[str | T], T]:
    """`read` for the values of `option`; a default has been read already."""

    def parse(value: str | T) -> T:
        return read(option, value) if isinstance(value, str) else value

    return parse


_ASKED = "What is asked"
_MONEY = "Money"
_HARDWARE = "Hardware"
_ENGINE = "Engine"
_OUTPUT = "Output"
_FILTERS = "Which models"

_MODEL = typer.Argument(
    metavar="MODEL",
    help="Model name, alias or published id; a config.json, its folder or a GGUF file.",
    show_default=False,
)
Model = Annotated[str, _MODEL]
OptionalModel = Annotated[str | None, _MODEL]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A config.json instead of MODEL.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
GgufFile = Annotated[
    Path | None,
    typer.Option(
        "--gguf",
        metavar="FILE",
        help="A GGUF file, or any part of a split one, instead of MODEL.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
CheckpointFolder = Annotated[
    Path | None,
    typer.Option(
        "--safetensors",
        metavar="DIR",
        help="Folder with config.json and *.safetensors instead of MODEL.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
CacheContext = Annotated[
    int | None,
    typer.Option(
        "--context",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--context"),
        help="Also the cache of so many tokens; that of the full window is always shown.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
FactsQuant = Annotated[
    str,
    typer.Option(
        "--quant",
        metavar="QUANT",
        help="Format whose bytes are counted; `auto`: its own, else the recommended.",
        rich_help_panel=_ASKED,
    ),
]
PlanFile = Annotated[
    Path, typer.Argument(metavar="PLAN.json", help="A plan written with -o, or - for stdin.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the row.")]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="What to write for: llama.cpp, vllm or sglang.")
]

Quant = Annotated[
    str,
    typer.Option(
        "--quant", metavar="QUANT", help="Quantization, or `auto`.", rich_help_panel=_ASKED
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        "--context",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--context"),
        help="Tokens one request may hold; left out, the model's full window.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        metavar="N",
        parser=_reads(parsing.count, "--concurrency"),
        help="Simultaneous requests, each with its own context.",
        rich_help_panel=_ASKED,
    ),
]
MinSpeed = Annotated[
    float,
    typer.Option(
        "--min-speed",
        metavar="TOK/S",
        parser=_reads(parsing.speed, "--min-speed"),
        help="Tokens per second each user gets at least at the workload's depth; 0 lifts it.",
        rich_help_panel=_ASKED,
    ),
]
Ttft = Annotated[
    float | None,
    typer.Option(
        "--ttft",
        metavar="TIME",
        parser=_reads(parsing.duration, "--ttft"),
        help="Longest wait for the first token of the workload's prompt, alone and on idle "
        "machines, seconds.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
Tpot = Annotated[
    float | None,
    typer.Option(
        "--tpot",
        metavar="TIME",
        parser=_reads(parsing.duration, "--tpot"),
        help="Longest time per output token of each user at the workload's depth, seconds.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
Throughput = Annotated[
    float | None,
    typer.Option(
        "--throughput",
        metavar="TOK/S",
        parser=_reads(parsing.speed, "--throughput"),
        help="Tokens per second all users get together at least, at the workload's depth.",
        show_default=False,
        rich_help_panel=_ASKED,
    ),
]
InputTokens = Annotated[
    int,
    typer.Option(
        "--input",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--input"),
        help="Prompt tokens of the workload.",
        rich_help_panel=_ASKED,
    ),
]
OutputTokens = Annotated[
    int,
    typer.Option(
        "--output",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--output"),
        help="Generated tokens of the workload.",
        rich_help_panel=_ASKED,
    ),
]
Budget = Annotated[
    Decimal | None,
    typer.Option(
        "--budget",
        metavar="USD",
        parser=_reads(parsing.dollars, "--budget"),
        help="Most the hardware and its network may cost to buy, USD.",
        rich_help_panel=_MONEY,
    ),
]
BudgetPerHour = Annotated[
    Decimal | None,
    typer.Option(
        "--budget-per-hour",
        metavar="USD",
        parser=_reads(parsing.dollars, "--budget-per-hour"),
        help="Most the hardware may cost to rent, USD per hour.",
        rich_help_panel=_MONEY,
    ),
]
StockList = Annotated[
    list[str] | None,
    typer.Option(
        "--stock",
        metavar="NODE=N",
        help="Limits on how many nodes of a type can be had.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NAME,...",
        help="Nodes, GPUs or vendors the plan is made of; empty is all.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="NAME,...",
        help="Nodes, GPUs or vendors left out.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Used = Annotated[
    bool,
    typer.Option("--used", help="Whether used hardware may be bought.", rich_help_panel=_HARDWARE),
]
MixedFamilies = Annotated[
    bool,
    typer.Option(
        "--mixed-families",
        help="Whether CUDA, ROCm and Metal devices may share a replica.",
        rich_help_panel=_HARDWARE,
    ),
]
MaxNodes = Annotated[
    int,
    typer.Option(
        "--max-nodes",
        metavar="N",
        parser=_reads(parsing.count, "--max-nodes"),
        help="Most machines of one replica; a linked pair counts as two.",
        rich_help_panel=_HARDWARE,
    ),
]
NodeList = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="NODE:N",
        help="Nodes of the layout, in order.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        "--devices",
        metavar="N",
        parser=_reads(parsing.count, "--devices"),
        help="Unnamed devices instead of nodes: memory only, no capacity, no speed.",
        rich_help_panel=_HARDWARE,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="N,N,...",
        help="Slots per device: layers, MTP blocks and one for the output; of vLLM and SGLang "
        "layers per stage; left out, even.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        parser=_reads(partial(parsing.one_of, ENGINES, "engine"), "--engine"),
        help="Serving engine; left out, llama.cpp for GGUF and vLLM for checkpoints.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
AnyEngine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        parser=_reads(partial(parsing.one_of, EVERY_ENGINE, "engine"), "--engine"),
        help="Serving engine, `auto` for the best of all that load the quantization; left out, "
        "llama.cpp for GGUF and vLLM for checkpoints.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
EngineBuild = Annotated[
    str | None,
    typer.Option(
        "--engine-build",
        metavar="BUILD",
        help="Build whose rules are applied; left out, the newest whose rules are known.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
TensorParallel = Annotated[
    int | None,
    typer.Option(
        "--tp",
        metavar="N",
        parser=_reads(parsing.count, "--tp"),
        help="Devices each layer is cut over; left out, all that the other degrees leave.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
PipelineParallel = Annotated[
    int,
    typer.Option(
        "--pp",
        metavar="N",
        parser=_reads(parsing.count, "--pp"),
        help="Stages, each with the same number of devices.",
        rich_help_panel=_ENGINE,
    ),
]
DataParallel = Annotated[
    int,
    typer.Option(
        "--dp",
        metavar="N",
        parser=_reads(parsing.count, "--dp"),
        help="Replicas of attention: on devices of their own in vLLM, on those of a stage in "
        "SGLang.",
        rich_help_panel=_ENGINE,
    ),
]
ExpertParallel = Annotated[
    int,
    typer.Option(
        "--ep",
        metavar="N",
        parser=_reads(parsing.count, "--ep"),
        help="Devices routed experts are dealt out to, whole; 1 cuts each.",
        rich_help_panel=_ENGINE,
    ),
]
DecodeContextParallel = Annotated[
    int,
    typer.Option(
        "--dcp",
        metavar="N",
        parser=_reads(parsing.count, "--dcp"),
        help="Devices one sequence's cache is dealt out to in decoding.",
        rich_help_panel=_ENGINE,
    ),
]
RedundantExperts = Annotated[
    int,
    typer.Option(
        "--redundant-experts",
        metavar="N",
        parser=_reads(parsing.whole, "--redundant-experts"),
        help="Copies of routed experts beside the originals, all devices together.",
        rich_help_panel=_ENGINE,
    ),
]
Utilization = Annotated[
    float | None,
    typer.Option(
        "--utilization",
        metavar="SHARE",
        parser=_reads(parsing.share, "--utilization"),
        help="vLLM's share of a device, SGLang's static share of it; left out, the version's "
        "default.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
MaxNumBatchedTokens = Annotated[
    int | None,
    typer.Option(
        "--max-num-batched-tokens",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--max-num-batched-tokens"),
        help="Tokens in one step, SGLang's prefill chunk; left out, the version's default.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
MaxNumSeqs = Annotated[
    int | None,
    typer.Option(
        "--max-num-seqs",
        metavar="N",
        parser=_reads(parsing.count, "--max-num-seqs"),
        help="Requests in one step; left out, the version's default.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
KvType = Annotated[
    str,
    typer.Option(
        "--kv-type",
        metavar="TYPE",
        parser=_reads(partial(parsing.one_of, KV_TYPES, "K/V type"), "--kv-type"),
        help="Type of the K and V cache.",
        rich_help_panel=_ENGINE,
    ),
]
Ubatch = Annotated[
    int,
    typer.Option(
        "--ubatch",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--ubatch"),
        help="llama.cpp physical batch, tokens.",
        rich_help_panel=_ENGINE,
    ),
]
Pool = Annotated[
    int | None,
    typer.Option(
        "--context",
        "-c",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--context"),
        help="llama.cpp `-c`: the pool of all slots, tokens; of vLLM and SGLang the longest "
        "request; left out, the full window.",
        show_default=False,
        rich_help_panel=_ENGINE,
    ),
]
Slots = Annotated[
    int,
    typer.Option(
        "--slots",
        metavar="N",
        parser=_reads(parsing.count, "--slots"),
        help="Requests held at once, each with its context: llama.cpp `-np`.",
        rich_help_panel=_ENGINE,
    ),
]
FlashAttention = Annotated[
    str,
    typer.Option(
        "--flash-attention",
        metavar="on|off",
        parser=_reads(partial(parsing.one_of, SWITCH, "setting"), "--flash-attention"),
        help="llama.cpp `-fa`: whether the fused attention kernel is used.",
        rich_help_panel=_ENGINE,
    ),
]
SwaFull = Annotated[
    bool,
    typer.Option(
        "--swa-full",
        help="llama.cpp `--swa-full`: sliding-window layers keep the whole context.",
        rich_help_panel=_ENGINE,
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="true|nominal",
        parser=_reads(partial(parsing.one_of, METHODS, "method"), "--method"),
        help="True bytes, or nominal bits as the public requirements pages count.",
        rich_help_panel=_ASKED,
    ),
]
CatalogFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--catalog",
        metavar="DIR",
        envvar="PLANNER_CATALOG",
        help="Folder or TOML file laid over the shipped catalogs; later ones win.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        parser=_reads(parsing.seconds, "--time-limit"),
        help="Deterministic seconds the solver may take.",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON in base units instead of a report.", rich_help_panel=_OUTPUT
    ),
]
Plain = Annotated[
    bool,
    typer.Option("--plain", help="No colour and no lines, as when piped.", rich_help_panel=_OUTPUT),
]
ExplainSpeed = Annotated[
    bool,
    typer.Option(
        "--explain-speed", help="Draw where a token's time goes.", rich_help_panel=_OUTPUT
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        metavar="FILE",
        help="Also write the answer as JSON to a new file.",
        rich_help_panel=_OUTPUT,
    ),
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "-o", metavar="DIR", help="Folder the files are written to.", rich_help_panel=_OUTPUT
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME=ADDRESS",
        help="Address of a machine of the plan; without it the scripts stay on loopback.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Overwrite what -o names.", rich_help_panel=_OUTPUT),
]
Dumps = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Outputs of tools of one machine (- is stdin), or NAME=FILE of several; inventories.",
        show_default=False,
    ),
]
InventoryFile = Annotated[
    Path, typer.Argument(metavar="RIG.toml", help="An inventory, as import and scan write it.")
]
InventoryOutput = Annotated[
    Path | None,
    typer.Option(
        "-o", metavar="FILE", help="Also write the inventory, as TOML.", rich_help_panel=_OUTPUT
    ),
]
NamedGpus = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        metavar="[PART=]ROW",
        help="GPU row of every device, or of one, e.g. `gpu0=rtx-3090-24`.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
HostMemory = Annotated[
    int | None,
    typer.Option(
        "--host-memory",
        metavar="SIZE",
        parser=_reads(parsing.size, "--host-memory"),
        help="Memory of each host, e.g. `512 GiB`.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
FamilyFilter = Annotated[
    str | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="Of one family, e.g. `qwen`.",
        show_default=False,
        rich_help_panel=_FILTERS,
    ),
]
PublisherFilter = Annotated[
    str | None,
    typer.Option(
        "--publisher",
        metavar="NAME",
        help="Of one publisher, e.g. `Mistral AI`.",
        show_default=False,
        rich_help_panel=_FILTERS,
    ),
]
MinParameters = Annotated[
    int | None,
    typer.Option(
        "--min-params",
        metavar="COUNT",
        parser=_reads(parsing.parameters, "--min-params"),
        help="With at least so many parameters, e.g. `70B`, `1.03T`.",
        show_default=False,
        rich_help_panel=_FILTERS,
    ),
]
MaxParameters = Annotated[
    int | None,
    typer.Option(
        "--max-params",
        metavar="COUNT",
        parser=_reads(parsing.parameters, "--max-params"),
        help="With at most so many parameters.",
        show_default=False,
        rich_help_panel=_FILTERS,
    ),
]
Experts = Annotated[
    bool | None,
    typer.Option(
        "--moe/--dense",
        help="With experts, or without.",
        show_default=False,
        rich_help_panel=_FILTERS,
    ),
]
MinContext = Annotated[
    int | None,
    typer.Option(
        "--min-context",
        metavar="TOKENS",
        parser=_reads(parsing.tokens, "--min-context"),
        help="With a full window of at least so many tokens.",
        show_default=False,
        rich_help_panel=_FILTERS,
    ),
]
