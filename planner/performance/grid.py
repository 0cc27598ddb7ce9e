"""How fast a grid of vLLM or SGLang decodes and reads prompts: `planner.plan.Performance`.

Layer: performance. Users are dealt out to data-parallel replicas; with pipeline stages those of a
replica go round in as many micro-batches as there are stages, so that one user gains nothing.
"""

from __future__ import annotations

from planner.performance.calibration import Cases, prior_cases
from planner.performance.collectives import NOTHING, hop
from planner.performance.estimate import USABLE_SECONDS
from planner.performance.grid_calibration import calibration_of
from planner.performance.grid_case import GridCase as GridCase
from planner.performance.grid_case import Load as Load
from planner.performance.grid_exchange import ACTIVATION_BYTES
from planner.performance.grid_rates import rates_of
from planner.performance.grid_terms import TERMS, Pass, Times, pass_times
from planner.plan import Performance, Prefill, Term
from planner.values import Range

CHUNK = 8192
"""Tokens of a prompt in one pass."""
HOPS = "hops between stages"
PROMPTS = "prompts of other users"


NO_PROMPTS: Times = ()
Stages = tuple[Times, ...]
"""What every stage takes for one micro-batch, its hop to the next last."""


def step_seconds(case: GridCase, *, depth: int, users: int) -> Range:
    """Seconds per output token of one user while all `users` decode together.

    Args:
        case: the network on its grid.
        depth: tokens cached of each user.
        users: simultaneous users of all replicas.
    """
    stages, batches = _decode(case, depth, users)
    low, best, high = (_token(stages, batches, index) for index in range(3))
    return Range(low=low, best=best, high=high)


def step_terms(case: GridCase, *, depth: int, users: int) -> tuple[Term, ...]:
    """What `step_seconds` goes into; the terms sum to it in each case.

    Terms are those of all stages, or where the slowest stage sets the pace, its share of them.
    """
    stages, batches = _decode(case, depth, users)
    totals = [sum(term[1] for term in stage) for stage in stages]
    slowest = totals.index(max(totals))
    waits = batches * totals[slowest] > sum(totals)
    cases = []
    for index in range(3):
        parts = [[term[index] for term in stage] for stage in stages]
        terms = parts[slowest] if waits else [sum(part) for part in zip(*parts, strict=True)]
        scale = _token(stages, batches, index) / sum(terms)
        cases.append([term * scale for term in terms])
    found = (
        Term(name=name, seconds=Range(low=low, best=best, high=high))
        for name, low, best, high in zip((*TERMS, PROMPTS, HOPS), *cases, strict=True)
    )
    return tuple(term for term in found if term.seconds.low > 0)


def grid_performance(case: GridCase, *, depth: int, input_tokens: int, users: int) -> Performance:
    """Speed with `depth` tokens cached of each of `users` users.

    Args:
        case: the network on its grid.
        depth: tokens cached of each user.
        input_tokens: prompt whose time to first token is given, alone on an idle grid.
        users: simultaneous users of all replicas.
    """
    tpot = step_seconds(case, depth=depth, users=users)
    return Performance(
        depth=depth,
        ttft=_prompt(case, input_tokens),
        tpot=tpot,
        tokens_per_second=tpot.inverted().scaled(users),
        tokens_per_second_per_user=tpot.inverted(),
        terms=step_terms(case, depth=depth, users=users),
        calibration=calibration_of(case),
    )


def grid_prefill(case: GridCase, *, tokens: int) -> Prefill:
    """Time to first token of a prompt of `tokens` alone, and whether anyone would wait for it."""
    ttft = _prompt(case, tokens)
    return Prefill(tokens=tokens, ttft=ttft, usable=ttft.high <= USABLE_SECONDS)


def _decode(case: GridCase, depth: int, users: int) -> tuple[Stages, int]:
    """One micro-batch through all stages, and how many go round."""
    replicas = case.grid.data_parallel
    each = -(-users // replicas)
    batches = min(case.grid.pipeline_parallel, each)
    tokens = -(-each // batches)
    everyone = min(users, tokens * replicas)
    run = Pass("decode", tokens, everyone, tokens, depth)
    load = case.load
    if load is None or users == 1:
        return _run(case, run, NO_PROMPTS), batches
    share = (users - 1) / (load.output_tokens * replicas * batches)
    return _run(case, run, _prompts(case, load.input_tokens, share)), batches


def _prompts(case: GridCase, tokens: int, share: float) -> Times:
    """Seconds of every stage that a `share` of a prompt on each replica adds to a micro-batch.

    Its weights are read anyway: arithmetic and exchanges alone count, as far as users wait for
    them.
    """
    run = Pass("work", tokens, tokens * case.grid.data_parallel, 1, tokens)
    found = []
    for number, times in enumerate(pass_times(case, run)):
        waited = share * rates_of(case.stages[number][0], case.engine).prompts
        low, best, high = (waited * sum([term[index] for term in times]) for index in range(3))
        found.append((low, best, high))
    return tuple(found)


def _run(case: GridCase, run: Pass, prompts: Times) -> Stages:
    size = run.tokens * case.architecture.hidden * ACTIVATION_BYTES
    return tuple(
        (
            *times,
            prompts[number] if prompts else NOTHING,
            _hop(case, number, size),
        )
        for number, times in enumerate(pass_times(case, run))
    )


def _hop(case: GridCase, number: int, size: float) -> Cases:
    """From a stage to the next, over the network where that begins another machine."""
    if number == len(case.stages) - 1:
        return NOTHING
    first = (number + 1) * case.grid.tensor_parallel
    inside = first // case.gpus_together == (first - 1) // case.gpus_together
    return hop(case.joined, inside=inside, size=size)


def _token(stages: Stages, batches: int, index: int) -> float:
    """Seconds per token in one case.

    A micro-batch comes round after all stages, or after the slowest stage has done all
    micro-batches, whichever is later.
    """
    totals = [sum([term[index] for term in stage]) for stage in stages]
    return max(sum(totals), batches * max(totals))


def _prompt(case: GridCase, tokens: int) -> Range:
    """Chunks go through the stages one behind the other; in a server both take longer.

    The band of devices without runs comes on top.
    """
    chunks = -(-tokens // CHUNK)
    size = tokens / chunks
    stages = _run(case, Pass("prompt", size, size, 1, tokens), NO_PROMPTS)
    factors = prior_cases("prompt-in-server")
    rates = [rates_of(gpu, case.engine) for gpu, _ in case.stages]
    guessed = [rate.mixture_band for rate in rates if not rate.measured]
    unsure = 1 + max(guessed, default=0.0)
    bands = (unsure, 1.0, 1 / unsure)
    cases = []
    for index in range(3):
        totals = [sum(term[index] for term in stage) for stage in stages]
        total = sum(totals) + (chunks - 1) * max(totals)
        cases.append(total * factors[index] * bands[index] + rates[0].first_token)
    return Range(low=cases[0], best=cases[1], high=cases[2])
