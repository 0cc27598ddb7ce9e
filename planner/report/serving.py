"""How a grid of vLLM or SGLang reads: degrees, settings, the KV pool, the margin of its verdict."""

from __future__ import annotations

import math

from planner.plan import Body, Bytes, Device, Engine, KvPool, Layout, Serving
from planner.report import words
from planner.report.blocks import Cell, Line, line
from planner.units import GIB


def degrees(layout: Layout) -> str:
    """`TP 8, PP 2, EP 16`: tensor and pipeline parallelism always, others where they are used."""
    parts = [f"TP {layout.tensor_parallel}", f"PP {layout.pipeline_parallel}"]
    others = (
        ("DP", layout.data_parallel),
        ("EP", layout.expert_parallel),
        ("DCP", layout.decode_context_parallel),
    )
    parts += [f"{name} {degree}" for name, degree in others if degree > 1]
    if layout.redundant_experts:
        parts.append(words.plural(layout.redundant_experts, "redundant expert"))
    return ", ".join(parts)


def partition(layout: Layout) -> str:
    """`61 layers as 31,30`; nothing for one stage."""
    if len(layout.partition) < 2:
        return ""
    return f"{sum(layout.partition)} layers as {','.join(map(str, layout.partition))}"


def settings(engine: Serving) -> str:
    """The limits of the server by the names of its flags."""
    match engine.name:
        case "vllm":
            return (
                f"--max-model-len {engine.context}, --max-num-seqs {engine.max_num_seqs}, "
                f"--max-num-batched-tokens {engine.max_num_batched_tokens}, "
                f"utilization {engine.utilization:g}, KV {engine.kv_type}"
            )
        case "sglang":
            return (
                f"--context-length {engine.context}, "
                f"--max-running-requests {engine.max_num_seqs}, "
                f"--chunked-prefill-size {engine.max_num_batched_tokens}, "
                f"--mem-fraction-static {engine.utilization:g}, KV {engine.kv_type}"
            )


def layout(body: Body, engine: Serving) -> str:
    """Degrees, layers of each stage and settings: what of the start command is the planner's."""
    grid = ", ".join(filter(None, (degrees(body.layout), partition(body.layout))))
    return f"{grid}; {settings(engine)}"


def counted(engine: Engine) -> list[Line]:
    """What the table of a grid's devices counts, and what its reserve is."""
    match engine:
        case Serving(name="vllm"):
            reserve = f"is what utilization {engine.utilization:g} leaves alone"
        case Serving(name="sglang"):
            reserve = (
                f"is free on the roomier side of --mem-fraction-static {engine.utilization:g}, "
                "where the other cannot use it"
            )
        case _:
            return []
    text = f"overheads at their upper ends, KV as asked; reserve {reserve}"
    return [line(Cell(text, "dim"))]


def pool(body: Body, engine: Engine) -> list[Line]:
    """What the KV cache holds when the engine has filled its devices."""
    if body.kv_pool is None:
        return []
    found, replicas = body.kv_pool, body.layout.data_parallel
    name, all_ = "KV pool", ""
    if replicas > 1:
        name, all_ = f"KV pool of each of {replicas} replicas", " on all of them"
    if found.tokens.high <= 0:
        return [line(f"{name}: none, weights and overheads leave no room for it")]
    best = "" if found.tokens.low == found.tokens.high else f" (best {found.tokens.best:,})"
    return [
        line(
            f"{name}: {_tokens(found.tokens)} {_noun(found.tokens)}{best}, {requests(found)} of "
            f"{words.plural(engine.context, 'token')} at once{all_}; "
            f"longest single request {_tokens(found.longest)}"
        )
    ]


def _tokens(size: Bytes) -> str:
    return " to ".join(dict.fromkeys((words.tokens(size.low), words.tokens(size.high))))


def _noun(size: Bytes) -> str:
    return "token" if size.low == size.high == 1 else "tokens"


def requests(found: KvPool) -> str:
    """`4.8 to 5.0 requests`, rounded down: what is not whole yet never reads as whole."""
    figures = list(dict.fromkeys((_request(found.requests.low), _request(found.requests.high))))
    return f"{' to '.join(figures)} {'request' if figures == ['1.0'] else 'requests'}"


def _request(count: float) -> str:
    return f"{math.floor(count):,}" if count >= 100 else f"{math.floor(count * 10) / 10:.1f}"


def margin(body: Body, tightest: Device) -> str:
    """What the tightest device has left, or is short of, in the worst case."""
    spare, capacity = words.spare(tightest), tightest.capacity_bytes
    worst = "if all overheads come out high"
    if spare < 0 and body.verdict == "no":
        also = "low ones leave too little as well"
        return f": {tightest.id} is {short(spare)} short {worst}, and {also}"
    if spare < 0:
        return f"; {tightest.id} would be {short(spare)} short {worst}"
    share = f" ({100 * spare / capacity:.1f} %)" if capacity else ""
    return f"; {tightest.id} keeps {words.mib(spare)} MiB{share} free {worst}"


def short(headroom: int) -> str:
    """What a negative headroom lacks, rounded up: `812 MiB`, from a GiB on `1.2 GiB`."""
    if headroom > -GIB:
        return f"{words.mib_short(headroom)} MiB"
    return f"{math.ceil(-headroom * 10 / GIB) / 10:,.1f} GiB"
