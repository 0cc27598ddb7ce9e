"""Activation, KV pool and tokens against vLLM's start-up logs."""

from __future__ import annotations

from statistics import mean, median

import pytest

from planner.engines.ranges import Range
from planner.engines.vllm.kv import CachePlan, cache_plan
from planner.engines.vllm.settings import Device
from planner.units import GIB
from tests.reality.tables import table
from tests.reality.vllm_tables import (
    SCHEMES,
    Run,
    computed,
    logged_run,
    network,
    sglang_computed,
    startup_run,
)

Scored = tuple[str, Range, float]
"""Id, computed and logged pool, bytes."""


def usable() -> list[Scored]:
    """Every row of both tables whose pool may be scored."""
    rows: list[tuple[str, Run, str]] = [
        (row["id"], startup_run(row), row["kv"])
        for row in table("vllm_startup_h100.csv")
        if row["usable"] == "yes"
    ]
    rows += [
        (row["id"], logged_run(row), row["avail_kv_gib"])
        for row in table("vllm_logged_memory.csv")
        if row["usable"] == "yes"
    ]
    return [(name, computed(run).ranks[0].pool, float(kv) * GIB) for name, run, kv in rows]


def test_pool_of_usable_rows_lies_in_range(capsys: pytest.CaptureFixture[str]) -> None:
    rows = usable()
    errors = [abs(pool.best / logged - 1) for _, pool, logged in rows]
    widths = [(pool.high - pool.low) / pool.best for _, pool, _ in rows]
    outside = [name for name, pool, logged in rows if not pool.low <= logged <= pool.high]
    with capsys.disabled():
        print(
            f"\nvLLM KV pool: {len(rows) - len(outside)} of {len(rows)} logs in range, "
            f"median error {median(errors):.2%}, median width {median(widths):.1%}; "
            f"outside: {', '.join(outside)}"
        )
    assert len(rows) >= 15
    assert len(outside) <= len(rows) // 10
    assert median(widths) <= 0.15
    assert median(errors) < 0.03


def test_pool_of_h100_runs(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [abs(pool.best / logged - 1) for name, pool, logged in usable() if name[0] == "h"]
    with capsys.disabled():
        print(
            f"\nvLLM KV pool: {len(errors)} H100 runs, mean error {mean(errors):.2%}, "
            f"worst {max(errors):.2%}"
        )
    assert len(errors) >= 25
    assert mean(errors) <= 0.005
    assert max(errors) <= 0.01


@pytest.mark.parametrize("row", table("vllm_startup_h100.csv"), ids=lambda row: row["id"])
def test_activation_peak(row: dict[str, str]) -> None:
    peak = computed(startup_run(row)).ranks[0].activation
    logged = float(row["activation"]) * GIB
    assert abs(peak.best - logged) <= (0.16 if row["id"] == "h29" else 0.02) * GIB
    assert peak.low <= logged <= peak.high


def test_activation_of_all_runs(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [
        abs(computed(startup_run(row)).ranks[0].activation.best / GIB - float(row["activation"]))
        for row in table("vllm_startup_h100.csv")
    ]
    with capsys.disabled():
        print(
            f"\nvLLM activation: {len(errors)} H100 runs, mean error {mean(errors):.3f} GiB, "
            f"worst {max(errors):.2f} GiB"
        )
    assert len(errors) >= 30
    assert mean(errors) <= 0.02
    assert max(errors) <= 0.25


def test_a_stage_that_does_not_sample_has_a_smaller_peak() -> None:
    row = next(row for row in table("vllm_startup_h100.csv") if row["model"] == "Qwen/Qwen3-14B")
    run = startup_run({**row, "version": "0.19.0"})
    split = Run(
        run.model, run.scheme, type(run.parallel)(pipeline_parallel=2), run.settings, run.device
    )
    first, last = computed(split).ranks
    assert 0.8 < first.activation.best / GIB < 1.3
    assert last.activation.best == computed(run).ranks[0].activation.best


def plan(model: str, tensor: int, **options: int) -> CachePlan:
    return cache_plan(
        network(model),
        tensor_parallel=tensor,
        kv_type="auto",
        in_flight=8192,
        counting="blocks",
        **options,
    )


BY_HAND = {
    "l1": plan("moonshotai/Kimi-K2-Thinking", 8),
    "l2": plan("moonshotai/Kimi-K2-Thinking", 8, context_parallel=8),
    "l10": plan("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 1),
    "l28": plan("meta-llama/Llama-3.1-8B-Instruct", 1),
    "l29": plan("meta-llama/Llama-3.1-8B-Instruct", 1),
}


LONGEST, SGLANG = {"l15", "l16"}, {"l14"}
"""Rows that print the longest sequence instead, and one of SGLang."""


def test_every_row_of_arithmetic_is_computed() -> None:
    rows = table("vllm_logged_memory.csv")
    marked = {row["id"] for row in rows if row["arithmetic"] == "yes"}
    assert marked == BY_HAND.keys() | LONGEST | SGLANG


@pytest.mark.parametrize("name", BY_HAND)
def test_tokens_of_a_printed_pool(name: str) -> None:
    """The pool is printed to 0.01 GiB: tokens lie between those of its ends, block by block."""
    row = next(row for row in table("vllm_logged_memory.csv") if row["id"] == name)
    cache, pool, logged = BY_HAND[name], float(row["avail_kv_gib"]), int(row["kv_tokens"])
    each = cache.block_bytes(range(10_000))
    least, most = (cache.tokens(int((pool + off) * GIB) // each, 32768) for off in (-0.005, 0.005))
    assert least <= logged <= most
    block = cache.groups[0].block * cache.context_parallel
    assert logged % block == 0


@pytest.mark.parametrize(
    ("pool", "context", "expected"),
    [(46.80, 1, 715_072), (46.80, 8, 5_720_576)],
)
def test_tokens_of_kimi_k2_thinking(pool: float, context: int, expected: int) -> None:
    """With DCP 8 the log's 5,721,088 is one block more: its pool is printed rounded."""
    cache = plan("moonshotai/Kimi-K2-Thinking", 8, context_parallel=context)
    blocks = int(pool * GIB) // cache.block_bytes(range(61))
    assert cache.tokens(blocks, 262_144) == expected
    assert cache.tokens(blocks + 1, 262_144) - expected == 64 * context


@pytest.mark.parametrize(("pool", "longest"), [(48.66, 205_728), (55.65, 235_296)])
def test_longest_sequence_of_a_printed_pool(pool: float, longest: int) -> None:
    cache = plan("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", 1)
    each = cache.block_bytes(range(62))
    least, most = (
        cache.longest(int((pool + off) * GIB) // each, 262_144) for off in (-0.005, 0.005)
    )
    assert least <= longest <= most
    assert cache.blocks_per_sequence(262_144) * each == 62 * GIB


def test_attention_block_is_as_large_as_a_state() -> None:
    """Logged for Qwen3.8 27B with 8-bit keys and values: 1568 tokens."""
    cache = cache_plan(
        network("Qwen/Qwen3.8-27B"), tensor_parallel=1, kv_type="fp8", in_flight=8192
    )
    assert {group.block for group in cache.groups} == {1568}
    assert len(cache.groups) == 4


@pytest.mark.parametrize(
    ("model", "ranks", "fraction", "memory", "tokens"),
    [
        ("Qwen/Qwen3-235B-A22B-FP8", 4, 0.93, 79.19, 367_404),
        ("deepseek-ai/DeepSeek-R1", 8, 0.82, 139.80, 509_000),
    ],
)
def test_sglang_pools(model: str, ranks: int, fraction: float, memory: float, tokens: int) -> None:
    device = Device(memory=round(memory * GIB))
    found = sglang_computed(model, ranks, device, 32768, fraction).tokens
    assert found.low <= tokens <= found.high
    assert found.best == pytest.approx(tokens, rel=0.01)
    assert (found.high - found.low) / found.best < 0.15


def test_every_scored_row_is_computed() -> None:
    scored = {row["id"] for row in table("vllm_logged_memory.csv") if row["usable"] == "yes"}
    assert scored <= SCHEMES.keys()
    assert all(row["reason"] or row["usable"] == "yes" for row in table("vllm_logged_memory.csv"))


@pytest.mark.parametrize(
    "row", table("vllm_kv_groups.csv"), ids=lambda row: f"{row['model']} on {row['tp']}"
)
def test_the_engines_own_groups_blocks_and_tokens(row: dict[str, str]) -> None:
    """Exact for windows, recurrent states, latents, indexers and mixtures of them."""
    model = network(row["model"])
    cache = cache_plan(model, tensor_parallel=int(row["tp"]), kv_type="auto", in_flight=16384)
    blocks = 20 * GIB // cache.block_bytes(range(model.depth))
    found = (len(cache.groups), blocks, cache.tokens(blocks, int(row["context"])))
    assert found == (int(row["groups"]), int(row["blocks"]), int(row["tokens"]))


def test_the_engines_own_longest_sequence() -> None:
    """Gemma 4 31B at its window on 20 GiB, refused with an estimated maximum length of 87872."""
    model = network("google/gemma-4-31B-it")
    cache = cache_plan(model, tensor_parallel=1, kv_type="auto", in_flight=16384)
    blocks = 20 * GIB // cache.block_bytes(range(model.depth))
    assert cache.longest(blocks - 1, 131_072) == 87_872
