"""What SGLang refuses, and the layouts worth a look."""

from __future__ import annotations

from typing import Any

import pytest

from planner.engines.grid import Grid, Place
from planner.engines.sglang import rules
from planner.engines.sglang.serving import gpus
from planner.model.architecture import Indexer
from planner.quantization.checkpoint_formats import Awq, Gptq, Packed
from planner.quantization.default_schemes import default_scheme
from tests.unit.engines.rule_cases import (
    EXPERTS,
    FP8,
    GPT_OSS,
    KIMI,
    MOE,
    QWEN,
    Asked,
    Refusal,
    check_refusal,
    dense,
    mixed,
    model,
    stored,
)
from tests.unit.engines.small_networks import FULL, LATENT, network

BASE = Asked(version="0.5.23")
SPARSE = LATENT.model_copy(update={"indexer": Indexer(heads=8, head_dim=128), "top_k": 2048})

ODD = EXPERTS.model_copy(update={"intermediate": 1028})


def scheme(name: str) -> Any:
    return default_scheme(name, experts=False)


REFUSALS = (
    Refusal(
        rule="devices",
        words="takes 8 devices, more than the 4 there are",
        refused={"tensor_parallel": 4, "pipeline_parallel": 2, "gpus": 4},
        accepted={"tensor_parallel": 4, "data_parallel": 2, "gpus": 4},
    ),
    Refusal(
        rule="decoder",
        words="writes no text",
        refused={"architecture": network(FULL).model_copy(update={"decodes": False})},
        accepted={"architecture": network(FULL)},
    ),
    Refusal(
        rule="stages",
        words="3 pipeline stages are more than the model's 2 layers",
        refused={"pipeline_parallel": 3},
        accepted={"pipeline_parallel": 2, "partition": (1, 1)},
    ),
    Refusal(
        rule="heads",
        words="12 KV heads do not divide by 8 tensor-parallel ranks",
        refused={"tensor_parallel": 8, "architecture": dense(4096, heads=48, kv_heads=12)},
        accepted={
            "tensor_parallel": 8,
            "data_parallel": 2,
            "architecture": dense(4096, heads=48, kv_heads=12),
        },
    ),
    Refusal(
        rule="widths",
        words="a dense network of width 4100 does not divide by 8 ranks",
        refused={"tensor_parallel": 8, "data_parallel": 2, "architecture": dense(4100)},
        accepted={"tensor_parallel": 4, "data_parallel": 2, "architecture": dense(4100)},
    ),
    Refusal(
        rule="decode context parallelism",
        words="in SGLang is not planned",
        refused={"tensor_parallel": 16, "decode_context_parallel": 2},
        accepted={"tensor_parallel": 16, "data_parallel": 2},
    ),
    Refusal(
        rule="expert parallelism",
        words="needs routed experts, which the model does not have",
        refused={"tensor_parallel": 4, "expert_parallel": 2},
        accepted={"tensor_parallel": 4, "expert_parallel": 2, "architecture": MOE},
    ),
    Refusal(
        rule="expert parallelism",
        words="130 experts do not divide by 4 ranks",
        refused={
            "tensor_parallel": 4,
            "expert_parallel": 4,
            "redundant_experts": 2,
            "architecture": MOE,
        },
        accepted={
            "tensor_parallel": 4,
            "expert_parallel": 2,
            "redundant_experts": 2,
            "architecture": MOE,
        },
    ),
    Refusal(
        rule="expert parallelism",
        words="redundant experts need expert parallelism",
        refused={"tensor_parallel": 4, "redundant_experts": 4, "architecture": MOE},
        accepted={"tensor_parallel": 4, "architecture": MOE},
    ),
    Refusal(
        rule="FP8 blocks of linear layers",
        words="each rank's 544 rows of the dense gate_proj are no multiple of the FP8 block of 128",
        refused={"tensor_parallel": 2, "architecture": dense(1088), "scheme": FP8},
        accepted={"tensor_parallel": 2, "architecture": dense(1024), "scheme": FP8},
    ),
    Refusal(
        rule="FP8 blocks of linear layers",
        words="each rank's 64 rows of k_proj are no multiple of the FP8 block of 128",
        refused={
            "tensor_parallel": 8,
            "architecture": dense(4096, head_dim=64),
            "scheme": FP8,
        },
        accepted={
            "tensor_parallel": 4,
            "architecture": dense(4096, head_dim=64),
            "scheme": FP8,
        },
    ),
    Refusal(
        rule="FP8 blocks of experts",
        words="each rank's 192 columns of experts' down_proj are no multiple of the FP8 block of",
        refused={"tensor_parallel": 8, "architecture": MOE, "scheme": FP8},
        accepted={
            "tensor_parallel": 8,
            "expert_parallel": 2,
            "architecture": MOE,
            "scheme": FP8,
        },
    ),
    Refusal(
        rule="groups across ranks",
        words="SGLang would halve groups for slower kernels",
        refused={"tensor_parallel": 8, "architecture": MOE, "scheme": stored(Awq(128))},
        accepted={
            "tensor_parallel": 8,
            "expert_parallel": 8,
            "architecture": MOE,
            "scheme": stored(Awq(128)),
        },
    ),
    Refusal(
        rule="words across ranks",
        words="each rank's 514 columns of experts' down_proj do not fill whole words",
        refused={
            "tensor_parallel": 2,
            "architecture": mixed(FULL, network_of=ODD),
            "scheme": stored(Gptq(None)),
        },
        accepted={"tensor_parallel": 2, "architecture": MOE, "scheme": stored(Gptq(None))},
    ),
    Refusal(
        rule="group sizes",
        words="groups of 16 columns share a scale",
        refused={"scheme": stored(Packed(16))},
        accepted={"scheme": stored(Packed(32))},
    ),
    Refusal(
        rule="tiles",
        words="each rank's 2048 x 4128 of the dense down_proj fill no tiles of 64 x 128 or",
        refused={"architecture": dense(4128), "scheme": stored(Packed(32))},
        accepted={"architecture": dense(4160), "scheme": stored(Packed(32))},
    ),
    Refusal(
        rule="formats",
        words="SGLang 0.5.23 loads no MLX-4bit checkpoints",
        refused={"scheme": scheme("MLX-4bit")},
        accepted={"scheme": scheme("NF4")},
    ),
    Refusal(
        rule="capability",
        words="FP8 needs compute capability 8.0 in SGLang, the devices have 7.5",
        refused={"scheme": FP8, "capability": (7, 5)},
        accepted={"scheme": FP8, "capability": (8, 0)},
    ),
    Refusal(
        rule="capability",
        words="SGLang loads NVFP4 on NVIDIA GPUs only",
        refused={"scheme": scheme("NVFP4"), "family": "rocm", "capability": None},
        accepted={"scheme": FP8, "family": "rocm", "capability": None},
    ),
    Refusal(
        rule="cache type",
        words="SGLang has no KV cache of type fp8_ds_mla",
        refused={"kv_type": "fp8_ds_mla", "architecture": network(SPARSE)},
        accepted={"kv_type": "fp8", "architecture": network(SPARSE)},
    ),
    Refusal(
        rule="cache type",
        words="a KV cache of type fp8 needs compute capability 8.9, the devices have 8.6",
        refused={"kv_type": "fp8", "capability": (8, 6)},
        accepted={"kv_type": "fp8", "capability": (8, 9)},
    ),
    Refusal(
        rule="experts unpacked",
        words="would be unpacked to 16 bits below compute capability 10.0",
        refused={
            "architecture": model(GPT_OSS),
            "scheme": default_scheme("MXFP4", experts=True),
            "tensor_parallel": 4,
            "expert_parallel": 4,
        },
        accepted={
            "architecture": model(GPT_OSS),
            "scheme": default_scheme("MXFP4", experts=True),
            "tensor_parallel": 4,
        },
    ),
    Refusal(
        rule="window",
        words="longer than the model's window of 8192, which SGLang refuses by default",
        refused={"context": 8193},
        accepted={"context": 8192},
    ),
    Refusal(
        rule="batches",
        words="tokens in one step must be at least 1, not 0",
        refused={"max_num_batched_tokens": 0},
        accepted={"max_num_batched_tokens": 1},
    ),
    Refusal(
        rule="static fraction",
        words="must be between 0 and 1, not 1",
        refused={"utilization": 1.0},
        accepted={"utilization": 0.99},
    ),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.rule}: {case.words}")
def test_a_rule_alone_refuses_and_a_neighbour_is_legal(
    case: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refusal(rules, BASE, case, monkeypatch)


def test_every_rule_has_a_refusal() -> None:
    assert {rule.name for rule in rules.RULES} == {case.rule for case in REFUSALS}


def test_every_rule_says_where_it_was_read() -> None:
    assert all(rule.source for rule in (*rules.DEGREES, *rules.RULES))


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"pipeline_parallel": 0}, "pipeline parallelism must be at least 1, not 0"),
        ({"tensor_parallel": 8, "data_parallel": 3}, "3 replicas of attention do not divide 8"),
        ({"tensor_parallel": 8, "expert_parallel": 16}, "of 16 does not divide 8 tensor-parallel"),
    ],
)
def test_impossible_degrees_are_refused_before_anything_is_cut(grid, words) -> None:
    reasons = BASE.but(architecture=MOE, **grid).reasons(rules)
    assert len(reasons) == 1
    assert words in reasons[0]


@pytest.mark.parametrize(
    ("name", "grid", "legal"),
    [
        (QWEN, {"tensor_parallel": 8}, False),
        (QWEN, {"tensor_parallel": 4}, True),
        (QWEN, {"tensor_parallel": 8, "expert_parallel": 2}, True),
        (QWEN, {"tensor_parallel": 8, "expert_parallel": 8, "data_parallel": 2}, True),
        (KIMI, {"tensor_parallel": 16}, True),
        (KIMI, {"tensor_parallel": 16, "data_parallel": 16, "expert_parallel": 16}, True),
        (KIMI, {"tensor_parallel": 32}, False),
        (KIMI, {"tensor_parallel": 8, "pipeline_parallel": 4}, True),
        ("deepseek-r1", {"tensor_parallel": 8}, True),
    ],
)
def test_known_answers_for_fp8(name, grid, legal) -> None:
    """R1 on 8 and Qwen3-235B on 4 devices are logged starts."""
    reasons = BASE.but(architecture=model(name), scheme=FP8, **grid).reasons(rules)
    assert (reasons == ()) is legal


def test_replicas_of_attention_keep_whole_heads() -> None:
    """8 ranks of 16 heads and 8 KV heads; with 4 replicas each is cut in two."""
    asked = BASE.but(architecture=dense(4096, heads=6, kv_heads=2), tensor_parallel=8)
    assert "6 heads do not divide by 8 tensor-parallel ranks" in asked.reasons(rules)
    assert asked.but(data_parallel=4).reasons(rules) == ()


@pytest.mark.parametrize(
    ("name", "capability", "words"),
    [
        ("FP8", (8, 0), "FP8 on compute capability 8.0: weights only, computed in 16 bits"),
        ("NVFP4", (9, 0), "NVFP4 on compute capability 9.0: weights only"),
        ("FP8", (9, 0), ""),
        ("GPTQ-Int4", (8, 0), ""),
    ],
)
def test_a_fallback_to_weights_alone_is_legal_and_noted(name, capability, words) -> None:
    asked = BASE.but(scheme=scheme(name), capability=capability)
    assert asked.reasons(rules) == ()
    notes = asked.notes(rules)
    assert len(notes) == bool(words)
    assert all(words in note for note in notes)


def test_formats_it_can_and_cannot_load() -> None:
    reason = rules.cannot_load(scheme("EXL3-4.0bpw"))
    assert reason == "SGLang 0.5.23 loads no EXL3-4.0bpw checkpoints"
    assert rules.cannot_load(FP8) is None
    assert rules.cannot_load(scheme("NF4")) is None


def place(count: int) -> Place:
    return Place(family="cuda", capability=(9, 0), gpus_per_machine=8, gpus=count)


@pytest.mark.parametrize("name", [KIMI, QWEN, GPT_OSS, "llama-3.3-70b"])
@pytest.mark.parametrize("count", [1, 4, 8, 16])
def test_layouts_worth_a_look_take_exactly_the_devices(name, count) -> None:
    architecture = model(name)
    grids = rules.grids(architecture, place(count))
    assert grids == rules.grids(architecture, place(count))
    assert len(set(grids)) == len(grids)
    assert 1 <= len(grids) < 60
    assert {gpus(grid) for grid in grids} == {count}
    for grid in grids:
        assert grid.tensor_parallel % grid.data_parallel == 0
        assert grid.tensor_parallel % grid.expert_parallel == 0


def test_the_usual_layouts_are_among_those_worth_a_look() -> None:
    kimi = rules.grids(model(KIMI), place(16))
    for grid in (
        Grid(tensor_parallel=16),
        Grid(tensor_parallel=8, pipeline_parallel=2),
        Grid(tensor_parallel=16, data_parallel=16, expert_parallel=16),
        Grid(tensor_parallel=16, data_parallel=2, expert_parallel=8),
    ):
        assert grid in kimi
    assert {grid.expert_parallel for grid in rules.grids(model(QWEN), place(8))} == {1, 2, 4, 8}


def test_replicas_are_for_caches_that_ranks_would_copy() -> None:
    grids = rules.grids(model("llama-3.3-70b"), place(16))
    assert {grid.expert_parallel for grid in grids} == {1}
    assert {(x.tensor_parallel, x.data_parallel) for x in grids if x.data_parallel > 1} == {(16, 2)}


@pytest.mark.parametrize(
    ("capability", "experts", "legal"),
    [((9, 0), 1, True), ((9, 0), 4, False), ((10, 0), 4, True), (None, 4, False)],
)
def test_experts_in_mxfp4_are_not_unpacked(capability, experts, legal) -> None:
    """Dealt out on Hopper they would take four times the memory."""
    asked = BASE.but(
        architecture=model(GPT_OSS),
        scheme=default_scheme("MXFP4", experts=True),
        tensor_parallel=4,
        expert_parallel=experts,
        capability=capability,
    )
    reasons = asked.reasons(rules)
    assert (reasons == ()) is legal
    assert all("unpacked to 16 bits" in reason for reason in reasons)
    assert asked.but(scheme=default_scheme("BF16", experts=True)).reasons(rules) == ()
