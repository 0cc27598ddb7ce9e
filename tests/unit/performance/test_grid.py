"""Decoding and prompts on grids of vLLM and SGLang: what every answer must obey."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import load_catalog
from planner.engines.grid import Grid
from planner.engines.sharding import split_evenly
from planner.model.architecture import Architecture, Layer
from planner.performance.calibration import prior_cases
from planner.performance.grid import (
    PROMPTS,
    GridCase,
    Load,
    grid_performance,
    grid_prefill,
    step_seconds,
    step_terms,
)
from planner.performance.grid_rates import rates_of, serving_rate
from planner.performance.grid_terms import layer_overhead
from planner.performance.grid_work import work_of
from planner.quantization.default_schemes import default_scheme
from planner.values import Range
from tests.unit.performance.conftest import EXPERTS, GROUPED, LATENT

CATALOG = load_catalog()
FP8 = default_scheme("FP8", experts=True)
LAYERS = 8


def network(layer: Layer) -> Architecture:
    """Eight layers alike, 4,096 channels wide."""
    return Architecture(
        gguf_name="test",
        hidden=4096,
        vocabulary=128256,
        context_length=131072,
        tied=False,
        layers=(layer,) * LAYERS,
    )


GROUPED_EXPERTS = network(Layer(attention=GROUPED, feed_forward=EXPERTS))
LATENT_EXPERTS = network(Layer(attention=LATENT, feed_forward=EXPERTS))


def case(architecture: Architecture = GROUPED_EXPERTS, /, **changes: Any) -> GridCase:
    """A grid of H200 in machines of eight joined by InfiniBand, or with other fields."""
    grid = {key: changes.pop(key) for key in tuple(changes) if key in Grid.__slots__}
    gpu = CATALOG.gpu(changes.pop("gpu", "h200-sxm-141"))
    stages, start = [], 0
    for count in split_evenly(LAYERS, grid.get("pipeline_parallel", 1)):
        stages.append((gpu, tuple(range(start, start + count))))
        start += count
    fields: dict[str, Any] = {
        "architecture": architecture,
        "scheme": FP8,
        "engine": "vllm",
        "grid": Grid(**grid),
        "stages": tuple(stages),
        "fabric": CATALOG.links["nvlink4"],
        "network": CATALOG.networks["infiniband-ndr"],
        "gpus_per_machine": 8,
    }
    return GridCase(**(fields | changes))


def terms(of: GridCase, depth: int = 8192, users: int = 1) -> dict[str, Range]:
    return {term.name: term.seconds for term in step_terms(of, depth=depth, users=users)}


GRIDS = [
    case(),
    case(tensor_parallel=8),
    case(tensor_parallel=8, decode_context_parallel=2),
    case(tensor_parallel=16),
    case(tensor_parallel=2, pipeline_parallel=4),
    case(tensor_parallel=8, pipeline_parallel=2),
    case(tensor_parallel=2, data_parallel=4, expert_parallel=8),
    case(tensor_parallel=4, data_parallel=2),
    case(data_parallel=16, expert_parallel=16),
    case(engine="sglang", tensor_parallel=8, data_parallel=8, expert_parallel=8),
    case(engine="sglang", tensor_parallel=16, data_parallel=4, pipeline_parallel=2),
    case(LATENT_EXPERTS, tensor_parallel=8),
    case(LATENT_EXPERTS, gpu="mi300x-192", tensor_parallel=8, fabric=None),
]


def name(of: GridCase) -> str:
    grid = of.grid
    degrees = grid.tensor_parallel, grid.pipeline_parallel, grid.data_parallel, grid.expert_parallel
    return f"{of.engine}-{'-'.join(map(str, degrees))}"


@pytest.mark.parametrize("grid", GRIDS, ids=name)
@given(depth=st.integers(1, 100_000), users=st.integers(1, 600), more=st.integers(0, 500))
def test_more_depth_or_more_users_is_never_faster(
    grid: GridCase, depth: int, users: int, more: int
) -> None:
    before = step_seconds(grid, depth=depth, users=users)
    for after in (
        step_seconds(grid, depth=depth + more, users=users),
        step_seconds(grid, depth=depth, users=users + more),
    ):
        assert after.low >= before.low * (1 - 1e-12)
        assert after.best >= before.best * (1 - 1e-12)
        assert after.high >= before.high * (1 - 1e-12)


@pytest.mark.parametrize("grid", GRIDS, ids=name)
@pytest.mark.parametrize("users", [1, 3, 64])
def test_terms_sum_to_the_time_and_cases_are_in_order(grid: GridCase, users: int) -> None:
    speed = grid_performance(grid, depth=4096, input_tokens=1000, users=users)
    for index in ("low", "best", "high"):
        total = sum(getattr(term.seconds, index) for term in speed.terms)
        assert total == pytest.approx(getattr(speed.tpot, index))
    for seconds in (speed.tpot, speed.ttft, *(term.seconds for term in speed.terms)):
        assert seconds.low >= seconds.best >= seconds.high >= 0
    assert speed.tokens_per_second.best == pytest.approx(users / speed.tpot.best)
    assert speed.tokens_per_second_per_user.best == pytest.approx(1 / speed.tpot.best)


def test_two_ranks_read_half_of_the_weights_each() -> None:
    whole, half = terms(case()), terms(case(tensor_parallel=2))
    for term in ("attention weights", "routed experts", "output layer"):
        assert half[term].best == pytest.approx(whole[term].best / 2, rel=0.01)
    assert half["overhead per layer"] == whole["overhead per layer"]
    assert half["all-reduce"].best > 0
    assert "all-reduce" not in whole


def cache_bytes(of: GridCase, depth: int = 1000) -> float:
    (stage,) = work_of(of).stages
    ways = of.grid.decode_context_parallel
    return sum(n * c.bytes(depth, ways) for n, layer in stage.layers for c in layer.caches)


def test_a_latent_is_on_every_rank_and_heads_are_not() -> None:
    assert cache_bytes(case(LATENT_EXPERTS)) == LAYERS * 1000 * (512 + 64) * 2
    assert cache_bytes(case(LATENT_EXPERTS, tensor_parallel=8)) == LAYERS * 1000 * (512 + 64) * 2
    shared = case(LATENT_EXPERTS, tensor_parallel=8, decode_context_parallel=4)
    assert cache_bytes(shared) == LAYERS * 1000 * (512 + 64) * 2 / 4
    assert cache_bytes(case()) == LAYERS * 1000 * 2 * 8 * 128 * 2
    assert cache_bytes(case(tensor_parallel=4)) == LAYERS * 1000 * 2 * 2 * 128 * 2
    assert cache_bytes(case(tensor_parallel=16)) == LAYERS * 1000 * 2 * 1 * 128 * 2
    assert cache_bytes(case(kv_type="fp8")) == LAYERS * 1000 * 2 * 8 * 128


def test_one_user_gains_nothing_from_stages_and_many_do() -> None:
    one, two = case(), case(pipeline_parallel=2)
    alone = step_seconds(one, depth=1000, users=1), step_seconds(two, depth=1000, users=1)
    hop = terms(two)["hops between stages"].best
    assert alone[1].best == pytest.approx(alone[0].best + hop)
    many = [step_seconds(each, depth=50_000, users=64).best for each in (one, two)]
    assert many[1] < 0.8 * many[0]


def test_stages_of_unlike_length_go_at_the_pace_of_the_slowest() -> None:
    gpu = CATALOG.gpu("h200-sxm-141")
    even = case(pipeline_parallel=2)
    uneven = replace(even, stages=((gpu, (0, 1)), (gpu, (2, 3, 4, 5, 6, 7))))
    slow = step_seconds(uneven, depth=8192, users=64).best
    assert slow > 1.2 * step_seconds(even, depth=8192, users=64).best


def test_experts_are_read_by_need() -> None:
    (stage,) = work_of(case()).stages
    ((_, layer),) = stage.layers
    assert (layer.share, layer.used) == (8 / 64, 8)
    one = terms(case(), users=1)["routed experts"].best
    spread = prior_cases("expert-spread")[1]
    assert terms(case(), users=8)["routed experts"].best == pytest.approx(
        one * (1 - (7 / 8) ** (1 + 7 * spread)) * 8, rel=0.01
    )
    many = [terms(case(), users=users)["routed experts"].best for users in (64, 128)]
    assert many[0] < many[1] < 8.3 * one


def test_the_busiest_rank_reads_most_of_the_experts_of_one_token() -> None:
    """8 of 64 experts on 8 ranks: one each on average, 2 on the busiest, and all in the end."""
    cut, dealt = case(tensor_parallel=8), case(tensor_parallel=8, expert_parallel=8)
    one = terms(dealt)["routed experts"].best / terms(cut)["routed experts"].best
    busier = prior_cases("expert-imbalance")[1] * (2 * math.log(8) * 7 / 8) ** 0.5
    assert one == pytest.approx(1 + busier, rel=0.01)
    few, many = (terms(each, users=512)["routed experts"].best for each in (cut, dealt))
    assert few < many < 1.3 * few


def test_a_network_costs_more_than_a_fabric_and_a_slow_one_more() -> None:
    reduces = [
        terms(each, users=64)["all-reduce"].best
        for each in (
            case(tensor_parallel=8),
            case(tensor_parallel=16),
            case(tensor_parallel=16, network=CATALOG.networks["ethernet-10g"]),
        )
    ]
    assert reduces[1] > 2 * reduces[0]
    assert reduces[2] > 5 * reduces[1]


def test_replicas_in_vllm_share_experts_and_in_sglang_all_weights_but_attention() -> None:
    vllm = case(tensor_parallel=2, data_parallel=4, expert_parallel=8)
    sglang = case(engine="sglang", tensor_parallel=8, data_parallel=4, expert_parallel=8)
    for each in (vllm, sglang):
        found = terms(each, users=8)
        assert found["exchange between replicas"].best > 0
        assert found["routed experts"].best < terms(case(), users=8)["routed experts"].best / 4
    assert work_of(vllm).stages[0].output == work_of(sglang).stages[0].output


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu": "a100-sxm-80"}, "A100"),
        ({"gpu": "mi300x-192"}, "MI300X"),
        ({"tensor_parallel": 16}, "several machines"),
        ({"tensor_parallel": 8, "fabric": None}, "what links the devices"),
        ({"pipeline_parallel": 2}, "pipeline stages"),
        ({"data_parallel": 2}, "data parallelism"),
        ({"scheme": default_scheme("AWQ", experts=True)}, "weights in AWQ"),
    ],
)
def test_what_no_run_is_like_says_so(changes: dict[str, Any], reason: str) -> None:
    text = grid_performance(case(**changes), depth=10, input_tokens=10, users=1).calibration
    assert text.startswith("uncalibrated: no runs with ")
    assert reason in text


def test_what_runs_are_like_says_which() -> None:
    known = case(tensor_parallel=8, expert_parallel=8)
    text = grid_performance(known, depth=10, input_tokens=10, users=1).calibration
    assert text.startswith("vLLM, SGLang and TensorRT-LLM on H100 and H200 SXM")
    band = 1 + serving_rate(CATALOG.gpu("h200-sxm-141")).mixture_band
    assert text.endswith(f"a factor of {band:.2f} either way")
    latent = case(LATENT_EXPERTS)
    text = grid_performance(latent, depth=10, input_tokens=10, users=1).calibration
    reason = "no runs with latent attention but GLM-5's"
    wider = band * prior_cases("outside-runs")[0]
    assert text == f"uncalibrated: {reason}; a factor of {wider:.1f} or more"
    seconds = step_seconds(latent, depth=10, users=1)
    assert seconds.low == pytest.approx(wider * seconds.best)
    assert seconds.best == pytest.approx(wider * seconds.high)


def test_prompts() -> None:
    grid = case(tensor_parallel=8)
    times = [grid_prefill(grid, tokens=tokens) for tokens in (100, 1000, 10_000, 100_000)]
    assert [time.tokens for time in times] == [100, 1000, 10_000, 100_000]
    assert sorted(time.ttft.best for time in times) == [time.ttft.best for time in times]
    assert all(time.usable for time in times)
    assert not grid_prefill(case(gpu="p40-24", fabric=None), tokens=100_000).usable


def waited(of: GridCase, prompt: int, answer: int, users: int = 64) -> float:
    """Seconds per token that prompts of others add."""
    loaded = replace(of, load=Load(prompt, answer))
    found = step_terms(loaded, depth=4096, users=users)
    return {term.name: term.seconds.best for term in found}.get(PROMPTS, 0.0)


def test_prompts_of_others_cost_their_arithmetic_alone() -> None:
    assert waited(case(), 4000, 1000) == pytest.approx(2 * waited(case(), 2000, 1000), rel=0.15)
    assert waited(case(), 4000, 500) == pytest.approx(2 * waited(case(), 4000, 1000))
    assert waited(case(), 1, 1000) < 1e-4 * step_seconds(case(), depth=4096, users=64).best
    assert waited(case(), 4000, 1000, users=1) == 0
    assert waited(case(engine="sglang"), 4000, 1000) < waited(case(), 4000, 1000)


@pytest.mark.parametrize("grid", GRIDS, ids=name)
@pytest.mark.parametrize("users", [1, 3, 64])
def test_a_load_is_never_faster_and_its_terms_sum(grid: GridCase, users: int) -> None:
    loaded = replace(grid, load=Load(4000, 1000))
    alone = step_seconds(grid, depth=4096, users=users)
    step = step_seconds(loaded, depth=4096, users=users)
    found = step_terms(loaded, depth=4096, users=users)
    for index in ("low", "best", "high"):
        total = sum(getattr(term.seconds, index) for term in found)
        assert total == pytest.approx(getattr(step, index))
        assert getattr(step, index) >= getattr(alone, index) * (1 - 1e-12)
    assert (step == alone) == (users == 1)


def test_prompts_are_shared_out_over_replicas() -> None:
    one = waited(case(), 4000, 1000)
    four = waited(case(data_parallel=4, expert_parallel=4), 4000, 1000)
    assert one / 8 < four < one


def test_a_case_unlike_the_runs_has_a_wider_range() -> None:
    usual, odd = case(tensor_parallel=8), case(tensor_parallel=4, data_parallel=2)
    spans = [step_seconds(each, depth=4096, users=8) for each in (usual, odd)]
    assert spans[1].low / spans[1].high > 1.4 * spans[0].low / spans[0].high


def test_work_is_remembered() -> None:
    assert work_of(case(tensor_parallel=4)) is work_of(case(tensor_parallel=4, gpu="b200-sxm-180"))


Make = Callable[..., Any]


def test_units_of_formats(make_gpu: Make) -> None:
    hopper = rates_of(CATALOG.gpu("h100-sxm-80"), "vllm")
    assert hopper.float8 > hopper.half > hopper.float4
    blackwell = rates_of(CATALOG.gpu("b200-sxm-180"), "vllm")
    assert blackwell.float4 > blackwell.float8 > blackwell.half
    old = rates_of(make_gpu(name="old", dense_fp8=None), "sglang")
    assert old.float8 == pytest.approx(old.half)
    assert (old.dense_band, old.mixture_band, old.measured) == (1.0, 1.0, False)
    widened = case(scheme=default_scheme("INT4-W4A16-g128", experts=True))
    (stage,) = work_of(widened).stages
    ((_, layer),) = stage.layers
    assert layer.experts.float4 == layer.experts.float8 == 0 < layer.experts.half
    nvfp4 = case(scheme=default_scheme("NVFP4", experts=True))
    ((_, layer),) = work_of(nvfp4).stages[0].layers
    assert layer.experts.half == layer.experts.float8 == 0 < layer.experts.float4


def test_overheads_of_layers_add_up() -> None:
    rates = rates_of(CATALOG.gpu("h200-sxm-141"), "vllm")
    ((_, plain),) = (
        work_of(case(network(Layer(attention=GROUPED, feed_forward=None)))).stages[0].layers
    )
    ((_, latent),) = work_of(case(LATENT_EXPERTS)).stages[0].layers
    assert layer_overhead(plain, rates) == rates.layer
    assert layer_overhead(latent, rates) == rates.layer + rates.mixture + rates.latent
    indexed, state = latent._replace(indexed=True), plain._replace(state=True)
    assert layer_overhead(indexed, rates) == layer_overhead(latent, rates) + rates.indexer
    assert layer_overhead(state, rates) == rates.layer + rates.state


@pytest.mark.parametrize(("name", "width"), [("BF16", 0), ("FP8", 1), ("NVFP4", 2), ("AWQ", 2)])
def test_experts_are_read_at_the_rate_of_their_width(name: str, width: int) -> None:
    of = case(gpu="b200-sxm-180", scheme=default_scheme(name, experts=True))
    ((_, layer),) = work_of(of).stages[0].layers
    rate = rates_of(CATALOG.gpu("b200-sxm-180"), "vllm").experts[width]
    read = LAYERS * layer.share * layer.experts.bytes / rate
    assert terms(of)["routed experts"].best == pytest.approx(read, rel=0.01)
