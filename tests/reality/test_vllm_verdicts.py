"""What fits and what does not: logged starts and refusals, public reports, known answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.engines.fit import Fit
from planner.engines.vllm.layout import Parallel
from planner.engines.vllm.settings import Device, Settings
from planner.engines.vllm.versions import rules_of
from planner.errors import EngineError
from tests.reality.tables import table
from tests.reality.vllm_tables import (
    H100,
    H200,
    Run,
    computed,
    logged_run,
    sglang_computed,
    startup_run,
)

KIMI, THINKING = "moonshotai/Kimi-K2-Instruct", "moonshotai/Kimi-K2-Thinking"
R1 = "deepseek-ai/DeepSeek-R1"
TP8 = Parallel(tensor_parallel=8)
TP16 = Parallel(tensor_parallel=16, spans_nodes=True)


def fit(run: Run) -> Fit:
    return computed(run).fits(run.settings.context_length)


def logged(name: str) -> Run:
    return logged_run(next(r for r in table("vllm_logged_memory.csv") if r["id"] == name))


def asked(model: str, form: str, parallel: Parallel, device: Device, context: int) -> Run:
    return Run(model, form, parallel, Settings(context_length=context), device)


REFUSED = {
    "l11": logged("l11"),
    "l12": logged("l12"),
    "l15": logged("l15"),
    "l16": logged("l16"),
    "l31": logged("l31"),
    "l32": replace(
        logged("l32"),
        settings=replace(logged("l32").settings, max_num_batched_tokens=1024),
    ),
    "l33": logged("l33"),
    "l35 at its native window": logged("l35"),
    "llm-d-benchmark 621: 70B FP8 at 16000 on one H100": Run(
        "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
        "FP8-channel",
        Parallel(),
        Settings(context_length=16_000, utilization=0.95, version="0.11.0"),
    ),
    "InferenceX 1587: Kimi K2.5 on 8 H100 at its window": asked(
        "moonshotai/Kimi-K2.5", "INT4-experts", TP8, H100, 262_144
    ),
    "dynamo 8571: R1 with DP8 and EP8 on 8 H100": asked(
        R1, "FP8", Parallel(data_parallel=8, expert_parallel=True), H100, 8192
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_logged_refusals_are_refused(name: str) -> None:
    assert fit(REFUSED[name]).verdict == "refused"


def fits() -> list[Run]:
    runs = [startup_run(row) for row in table("vllm_startup_h100.csv")]
    runs += [logged(name) for name in ("l3", "l5", "l6", "l10", "l34")]
    closing = logged("l4")
    runs.append(replace(closing, settings=replace(closing.settings, utilization=0.95)))
    thinking = Settings(context_length=262_144, version="0.11.0")
    runs.append(Run(THINKING, "INT4-experts", TP8, thinking, H200))
    return runs


def test_no_logged_fit_is_refused_and_few_are_tight(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [fit(run).verdict for run in fits()]
    with capsys.disabled():
        print(
            f"\nvLLM verdicts: {len(REFUSED)} refusals refused; of {len(verdicts)} logged fits "
            f"{verdicts.count('tight')} tight, {verdicts.count('refused')} refused"
        )
    assert "refused" not in verdicts
    assert verdicts.count("tight") <= len(verdicts) // 10


def test_engines_before_the_known_versions_are_refused() -> None:
    """Reports on 0.5 and 0.7 (l17, l18, l67) are of another engine core."""
    with pytest.raises(EngineError, match=r"no rules for vLLM 0\.5\.4"):
        rules_of("0.5.4")


@pytest.mark.parametrize(
    ("run", "verdicts"),
    [
        (asked(KIMI, "FP8", TP8, H100, 32_768), {"refused"}),
        (asked(KIMI, "FP8", TP8, H200, 131_072), {"refused"}),
        (asked(KIMI, "FP8", TP8, H200, 8192), {"refused", "tight"}),
        (asked(KIMI, "FP8", TP16, H100, 131_072), {"refused"}),
        (asked(KIMI, "FP8", TP16, H100, 32_768), {"fits"}),
        (asked(KIMI, "FP8", TP16, H200, 131_072), {"fits"}),
        (asked(R1, "FP8", TP8, H200, 131_072), {"fits"}),
        (asked(R1, "FP8", TP8, H100, 8192), {"refused"}),
    ],
    ids=range(8),
)
def test_known_answers(run: Run, verdicts: set[str]) -> None:
    assert fit(run).verdict in verdicts


def test_a_refusal_names_the_longest_context_that_works() -> None:
    """Kimi K2.5 on 8 H100: nothing at the defaults, some thousand tokens with small batches."""
    run = REFUSED["InferenceX 1587: Kimi K2.5 on 8 H100 at its window"]
    assert fit(run).longest.best == 0
    small = replace(run.settings, utilization=0.97, max_num_seqs=16, max_num_batched_tokens=1024)
    answer = fit(replace(run, settings=small))
    assert answer.verdict == "refused"
    assert 0 < answer.longest.low < answer.longest.high < 262_144
    within = replace(small, context_length=answer.longest.low)
    assert fit(replace(run, settings=within)).verdict in ("fits", "tight")
    assert fit(replace(run, settings=within)).headroom >= 0


def test_thinking_has_the_logged_pool_from_its_config_alone() -> None:
    settings = Settings(context_length=262_144, version="0.11.0")
    tokens = computed(Run(THINKING, "INT4-experts", TP8, settings, H200)).tokens
    assert tokens.low <= 715_072 <= tokens.high
    assert tokens.best == pytest.approx(715_072, rel=0.005)


def test_context_parallel_multiplies_the_tokens_of_latents() -> None:
    settings = Settings(context_length=131_072)
    dcp = replace(TP8, decode_context_parallel=8)
    one = computed(Run(R1, "FP8", TP8, settings, H200)).tokens.best
    eight = computed(Run(R1, "FP8", dcp, settings, H200)).tokens.best
    assert eight == pytest.approx(8 * one, rel=1e-3)


def sglang_fit(model: str, device: Device, context: int, fraction: float | None = None) -> Fit:
    return sglang_computed(model, 8, device, context, fraction).fits(context)


def test_sglang_answers() -> None:
    assert sglang_fit(KIMI, H200, 131_072).verdict == "refused"
    assert sglang_fit(KIMI, H100, 8192).verdict == "refused"
    assert sglang_fit(R1, H200, 131_072, 0.82).verdict == "fits"
    assert sglang_fit(R1, H100, 8192).verdict == "refused"


def test_sglang_fraction_must_leave_room_for_a_step() -> None:
    assert sglang_fit(R1, H200, 32_768, 0.9).verdict == "fits"
    assert sglang_fit(R1, H200, 32_768, 0.99).verdict == "refused"
