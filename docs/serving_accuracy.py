"""Rows of the accuracy table for vLLM and SGLang, from what their reality tests print."""

from __future__ import annotations

import re

SCOREBOARDS = (
    "tests/reality/test_vllm_weights.py",
    "tests/reality/test_vllm_pool.py",
    "tests/reality/test_vllm_verdicts.py",
    "tests/reality/test_serving_speed.py",
)
PEER = "llm-d-planner's own report"
"""jgchn/llm-d-planner, branch accuracy, accuracy/accuracy_report.md: one constant of activation per
architecture; 0.84 % mean on weights, 7.8 % mean and up to 62 % on the KV pool."""
_WEIGHTS = re.compile(
    r"vLLM weights: (\d+) H100 runs, mean error ([\d.]+)%, worst ([\d.]+)%",
)
_POOL = re.compile(r"vLLM KV pool: (\d+) H100 runs, mean error ([\d.]+)%, worst ([\d.]+)%")
_RANGE = re.compile(
    r"vLLM KV pool: (\d+) of (\d+) logs in range, median error ([\d.]+)%, median width ([\d.]+)%"
)
_ACTIVATION = re.compile(
    r"vLLM activation: (\d+) H100 runs, mean error ([\d.]+) GiB, worst ([\d.]+) GiB"
)
_VERDICTS = re.compile(
    r"vLLM verdicts: (\d+) refusals refused; of (\d+) logged fits (\d+) tight, (\d+) refused"
)

_SPEED = re.compile(
    r"serving speed, model left out: (\d+) runs, ([\d.]+)% median, ([\d.]+)% p90; "
    r"([\d.]+)% of (\d+) alternatives in order"
)
_UNSEEN = re.compile(
    r"serving speed, DeepSeek-R1 unseen: (\d+) runs, ([\d.]+)% median, ([\d.]+)% p90, "
    r"([\d.]+)% inside"
)
_SEEN = re.compile(r"serving speed, in sample: \d+ runs, ([\d.]+)% median, ([\d.]+)% p90")
_SPANS = re.compile(
    r"serving speed, ranges on models left out: ([\d.]+)% inside, median high/low ([\d.]+)"
)

Row = tuple[str, str, str]


def rows(printed: str) -> list[Row]:
    """What is compared, with what, and the result."""
    from tests.reality.tables import table
    from tests.reality.test_vllm_pool import BY_HAND
    from tests.reality.test_vllm_weights import EXCEPTIONS, LOGGED

    weights, pool, span = (_found(each, printed) for each in (_WEIGHTS, _POOL, _RANGE))
    activation, verdicts = _found(_ACTIVATION, printed), _found(_VERDICTS, printed)
    classes, groups = table("vllm_per_rank_weights.csv"), table("vllm_kv_groups.csv")
    within, inside = len(LOGGED) - len(EXCEPTIONS), f"{span[0]} inside low to high"
    return [
        (
            "vLLM: weights of a rank",
            f"vLLM's own model classes, {len(classes)} ranks",
            "within 0.1 %",
        ),
        (
            "",
            f"logs of {weights[0]} starts on H100",
            f"error {weights[1]} % mean, {weights[2]} % worst ({PEER}: 0.84 % mean)",
        ),
        (
            "",
            f"{len(LOGGED)} logs elsewhere",
            f"{within} within 1.5 %; {len(EXCEPTIONS)} are not, and why is said",
        ),
        (
            "vLLM: tokens of a KV pool",
            f"vLLM's own cache configuration, {len(groups)} layouts; {len(BY_HAND)} logs",
            "every one equal to the block",
        ),
        (
            "vLLM: KV pool from config, GPU and flags alone",
            f"logs of {pool[0]} starts on H100",
            f"error {pool[1]} % mean, {pool[2]} % worst ({PEER}: 7.8 % mean, 62 % worst)",
        ),
        (
            "",
            f"{span[1]} logs, H100, H200 and others",
            f"{inside}; error {span[2]} % median, range {span[3]} % wide at the median",
        ),
        (
            "vLLM: activation peak",
            f"logs of {activation[0]} starts on H100",
            f"error {float(activation[1]):g} GiB mean, {activation[2]} GiB worst",
        ),
        (
            "vLLM: whether it starts",
            f"{verdicts[0]} logged refusals, {verdicts[1]} logged starts",
            f"every refusal refused; {verdicts[3]} starts refused, {verdicts[2]} called tight",
        ),
        *_speed(printed),
    ]


def _speed(printed: str) -> list[Row]:
    """Time per token on one machine, each model left out of its own fit and range."""
    patterns = (_SPEED, _SEEN, _SPANS, _UNSEEN)
    speed, seen, spans, unseen = (_found(each, printed) for each in patterns)
    return [
        (
            "vLLM, SGLang, TensorRT-LLM: time per token",
            f"{int(speed[0]):,} runs on one machine, each model left out of its own fit",
            f"error {speed[1]} % median, {speed[2]} % p90",
        ),
        ("", "the same runs, all in the fit", f"error {seen[0]} % median, {seen[1]} % p90"),
        (
            "",
            "their ranges, each model left out",
            f"{spans[0]} % inside; high over low {spans[1]} at the median",
        ),
        (
            "",
            f"{unseen[0]} runs of DeepSeek-R1, which took no part",
            f"error {unseen[1]} % median, {unseen[2]} % p90; {float(unseen[3]):g} % inside",
        ),
        (
            "which parallelism is faster",
            f"{int(speed[4]):,} pairs that differ in nothing else, by over 10 %",
            f"{speed[3]} % in order",
        ),
    ]


def _found(pattern: re.Pattern[str], printed: str) -> tuple[str, ...]:
    """The figures of one line.

    Raises:
        ValueError: nothing prints it.
    """
    match = pattern.search(printed)
    if match is None:
        raise ValueError(f"the reality tests print nothing like {pattern.pattern!r}")
    return match.groups()
