"""What vLLM refuses, and the layouts worth a look."""

from __future__ import annotations

from typing import Any

import pytest

from planner.engines.grid import Grid, Options, Place
from planner.engines.vllm import rules
from planner.engines.vllm.layout import stages
from planner.engines.vllm.serving import gpus, parallel
from planner.errors import EngineError
from planner.model.architecture import Grouped, Indexer
from planner.model.recurrent import GatedDelta, Mamba2
from planner.quantization.checkpoint_formats import Awq, Gptq, Packed
from planner.quantization.default_schemes import default_scheme
from tests.reality import vllm_tables
from tests.reality.tables import table
from tests.unit.engines.rule_cases import (
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

BASE = Asked(version="0.32.0")
SPARSE = LATENT.model_copy(update={"indexer": Indexer(heads=8, head_dim=128), "top_k": 2048})
DELTA = GatedDelta(key_heads=16, value_heads=48, key_dim=128, value_dim=128, kernel=4)
STATE = Mamba2(heads=16, head_dim=64, groups=4, state=64, kernel=4)
WINDOW = FULL.model_copy(update={"kv_heads": 1, "window": 1024})
NARROW = FULL.model_copy(update={"kv_heads": 2})


def scheme(name: str) -> Any:
    return default_scheme(name, experts=False)


REFUSALS = (
    Refusal(
        rule="devices",
        words="takes 8 devices, more than the 4 there are",
        refused={"tensor_parallel": 4, "pipeline_parallel": 2, "gpus": 4},
        accepted={"tensor_parallel": 4, "pipeline_parallel": 2, "gpus": 8},
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
        accepted={"pipeline_parallel": 2},
    ),
    Refusal(
        rule="stages",
        words="the partition names 2 stages, not 1",
        refused={"partition": (1, 1)},
        accepted={"partition": (2,)},
    ),
    Refusal(
        rule="stages",
        words="the partition's layers are 3 in all, not 2",
        refused={"pipeline_parallel": 2, "partition": (1, 2)},
        accepted={"pipeline_parallel": 2, "partition": (1, 1)},
    ),
    Refusal(
        rule="stages",
        words="puts 0 layers on a stage",
        refused={"pipeline_parallel": 2, "partition": (2, 0)},
        accepted={"pipeline_parallel": 2},
    ),
    Refusal(
        rule="heads",
        words="16 heads do not divide by 3 tensor-parallel ranks",
        refused={"tensor_parallel": 3, "architecture": dense(4608, kv_heads=3)},
        accepted={"tensor_parallel": 3, "architecture": dense(4608, heads=24, kv_heads=3)},
    ),
    Refusal(
        rule="heads",
        words="12 KV heads do not divide by 8 tensor-parallel ranks",
        refused={"tensor_parallel": 8, "architecture": dense(4096, heads=48, kv_heads=12)},
        accepted={"tensor_parallel": 4, "architecture": dense(4096, heads=48, kv_heads=12)},
    ),
    Refusal(
        rule="heads",
        words="8 tensor-parallel ranks are no multiple of 3 KV heads",
        refused={"tensor_parallel": 8, "architecture": dense(4096, heads=48, kv_heads=3)},
        accepted={"tensor_parallel": 8, "architecture": dense(4096, heads=48, kv_heads=2)},
    ),
    Refusal(
        rule="heads",
        words="16 key heads of linear attention do not divide by 32",
        refused={"tensor_parallel": 32, "architecture": network(DELTA)},
        accepted={"tensor_parallel": 16, "architecture": network(DELTA)},
    ),
    Refusal(
        rule="heads",
        words="4 groups of state-space heads do not divide by 8",
        refused={"tensor_parallel": 8, "architecture": network(STATE)},
        accepted={"tensor_parallel": 4, "architecture": network(STATE)},
    ),
    Refusal(
        rule="widths",
        words="a dense network of width 4100 does not divide by 8 ranks",
        refused={"tensor_parallel": 8, "architecture": dense(4100)},
        accepted={"tensor_parallel": 4, "architecture": dense(4100)},
    ),
    Refusal(
        rule="widths",
        words="an expert of width 1536 does not divide by 1024 ranks",
        refused={
            "tensor_parallel": 64,
            "data_parallel": 16,
            "gpus": 1024,
            "architecture": MOE,
        },
        accepted={"tensor_parallel": 64, "data_parallel": 8, "gpus": 512, "architecture": MOE},
    ),
    Refusal(
        rule="expert parallelism",
        words="needs routed experts, which the model does not have",
        refused={"tensor_parallel": 4, "expert_parallel": 4},
        accepted={"tensor_parallel": 4, "expert_parallel": 4, "architecture": MOE},
    ),
    Refusal(
        rule="expert parallelism",
        words="128 experts are fewer than 256 ranks",
        refused={
            "data_parallel": 256,
            "expert_parallel": 256,
            "gpus": 256,
            "architecture": MOE,
        },
        accepted={
            "data_parallel": 128,
            "expert_parallel": 128,
            "gpus": 256,
            "architecture": MOE,
        },
    ),
    Refusal(
        rule="expert parallelism",
        words="redundant experts need expert parallelism",
        refused={"tensor_parallel": 4, "redundant_experts": 4, "architecture": MOE},
        accepted={
            "tensor_parallel": 4,
            "expert_parallel": 4,
            "redundant_experts": 4,
            "architecture": MOE,
        },
    ),
    Refusal(
        rule="expert parallelism",
        words="130 experts with the redundant ones do not divide by 4 ranks",
        refused={
            "tensor_parallel": 4,
            "expert_parallel": 4,
            "redundant_experts": 2,
            "architecture": MOE,
        },
        accepted={"data_parallel": 3, "expert_parallel": 3, "architecture": MOE},
    ),
    Refusal(
        rule="decode context parallelism",
        words="needs more tensor-parallel ranks than 8 KV heads, not 8",
        refused={"tensor_parallel": 8, "decode_context_parallel": 2},
        accepted={"tensor_parallel": 16, "decode_context_parallel": 2},
    ),
    Refusal(
        rule="decode context parallelism",
        words="of 4 is more than the 2 copies of each KV head on 4 ranks",
        refused={
            "tensor_parallel": 4,
            "decode_context_parallel": 4,
            "architecture": network(NARROW),
        },
        accepted={
            "tensor_parallel": 4,
            "decode_context_parallel": 2,
            "architecture": network(NARROW),
        },
    ),
    Refusal(
        rule="decode context parallelism",
        words="3 heads per KV head do not divide by decode context parallelism of 2",
        refused={
            "tensor_parallel": 24,
            "decode_context_parallel": 2,
            "architecture": dense(4608, heads=24, kv_heads=8),
        },
        accepted={
            "tensor_parallel": 24,
            "decode_context_parallel": 3,
            "architecture": dense(4608, heads=24, kv_heads=8),
        },
    ),
    Refusal(
        rule="decode context parallelism",
        words="not for windows, here of 1024 tokens",
        refused={
            "tensor_parallel": 4,
            "decode_context_parallel": 2,
            "architecture": network(WINDOW),
        },
        accepted={
            "tensor_parallel": 4,
            "decode_context_parallel": 4,
            "architecture": network(LATENT),
        },
    ),
    Refusal(
        rule="decode context parallelism",
        words="needs a KV cache in FP8, not auto",
        refused={
            "tensor_parallel": 4,
            "decode_context_parallel": 2,
            "architecture": network(SPARSE),
        },
        accepted={
            "tensor_parallel": 4,
            "decode_context_parallel": 2,
            "architecture": network(SPARSE),
            "kv_type": "fp8",
        },
    ),
    Refusal(
        rule="decode context parallelism of recurrent layers",
        words="not for layers of kind 'gated_delta'",
        refused={
            "tensor_parallel": 4,
            "decode_context_parallel": 2,
            "architecture": network(DELTA, LATENT),
            "version": "0.24.0",
        },
        accepted={
            "tensor_parallel": 4,
            "decode_context_parallel": 2,
            "architecture": network(DELTA, LATENT),
            "version": "0.26.0",
        },
    ),
    Refusal(
        rule="FP8 blocks of linear layers",
        words="each rank's 544 columns of the dense down_proj are no multiple of the FP8 block of",
        refused={"tensor_parallel": 2, "architecture": dense(1088), "scheme": FP8},
        accepted={"architecture": dense(1088), "scheme": FP8},
    ),
    Refusal(
        rule="whole FP8 blocks of experts",
        words="each rank's 192 columns of experts' down_proj are no multiple of the FP8 block of",
        refused={
            "tensor_parallel": 8,
            "architecture": MOE,
            "scheme": FP8,
            "version": "0.28.0",
        },
        accepted={
            "tensor_parallel": 4,
            "architecture": MOE,
            "scheme": FP8,
            "version": "0.28.0",
        },
    ),
    Refusal(
        rule="split FP8 blocks of experts",
        words="no multiple of the FP8 block of 128; vLLM 0.32.0 would split blocks to 64",
        refused={"tensor_parallel": 8, "architecture": MOE, "scheme": FP8},
        accepted={
            "tensor_parallel": 8,
            "expert_parallel": 8,
            "architecture": MOE,
            "scheme": FP8,
        },
    ),
    Refusal(
        rule="groups across ranks",
        words="each rank's 576 columns of the dense down_proj are no multiple of the group of 128",
        refused={"tensor_parallel": 2, "architecture": dense(1152), "scheme": stored(Packed(128))},
        accepted={"tensor_parallel": 2, "architecture": dense(1152), "scheme": stored(Packed(32))},
    ),
    Refusal(
        rule="groups across ranks",
        words="vLLM would halve groups for slower kernels",
        refused={"tensor_parallel": 8, "architecture": MOE, "scheme": stored(Awq(128))},
        accepted={"tensor_parallel": 8, "architecture": MOE, "scheme": stored(Awq(64))},
    ),
    Refusal(
        rule="groups across ranks",
        words="each rank's 24 columns of the dense down_proj are no multiple of the group of 16",
        refused={"tensor_parallel": 16, "architecture": dense(384), "scheme": scheme("NVFP4")},
        accepted={"tensor_parallel": 8, "architecture": dense(384), "scheme": scheme("NVFP4")},
    ),
    Refusal(
        rule="words across ranks",
        words="each rank's 514 columns of the dense down_proj do not fill whole words of 32 bits",
        refused={"tensor_parallel": 2, "architecture": dense(1028), "scheme": stored(Gptq(None))},
        accepted={"architecture": dense(1028), "scheme": stored(Gptq(None))},
    ),
    Refusal(
        rule="group sizes",
        words="groups of 16 columns share a scale",
        refused={"scheme": stored(Packed(16))},
        accepted={"scheme": stored(Packed(32))},
    ),
    Refusal(
        rule="tiles",
        words="each rank's 2048 x 4128 of the dense down_proj fill no tiles of 64 x 128",
        refused={
            "architecture": dense(4128),
            "scheme": stored(Packed(32)),
            "version": "0.21.0",
        },
        accepted={
            "architecture": dense(4128),
            "scheme": stored(Packed(32)),
            "version": "0.24.0",
        },
    ),
    Refusal(
        rule="early decode context parallelism",
        words="decode context parallelism is in vLLM from 0.10.2 on",
        refused={
            "architecture": network(LATENT),
            "tensor_parallel": 2,
            "decode_context_parallel": 2,
            "version": "0.10.1",
        },
        accepted={
            "architecture": network(LATENT),
            "tensor_parallel": 2,
            "decode_context_parallel": 2,
            "version": "0.10.2",
        },
    ),
    Refusal(
        rule="early decode context parallelism of grouped attention",
        words="anything but latent attention is in vLLM from 0.11.1 on",
        refused={"tensor_parallel": 16, "decode_context_parallel": 2, "version": "0.11.0"}
        | {"gpus_per_machine": 16},
        accepted={"tensor_parallel": 16, "decode_context_parallel": 2, "version": "0.11.1"},
    ),
    Refusal(
        rule="early machines",
        words="a replica on several machines needs Ray in vLLM before 0.11.1",
        refused={"tensor_parallel": 8, "pipeline_parallel": 2, "version": "0.11.0"},
        accepted={"tensor_parallel": 8, "pipeline_parallel": 2, "version": "0.11.1"},
    ),
    Refusal(
        rule="early redundant experts",
        words="redundant experts have other options in vLLM before 0.10.2",
        refused={
            "architecture": MOE,
            "tensor_parallel": 4,
            "expert_parallel": 4,
            "redundant_experts": 4,
            "version": "0.10.1",
        },
        accepted={
            "architecture": MOE,
            "tensor_parallel": 4,
            "expert_parallel": 4,
            "redundant_experts": 4,
            "version": "0.10.2",
        },
    ),
    Refusal(
        rule="early cache of type bfloat16",
        words="a KV cache of type bfloat16 is in vLLM from 0.11.0 on",
        refused={"kv_type": "bfloat16", "version": "0.10.2"},
        accepted={"kv_type": "bfloat16", "version": "0.11.0"},
    ),
    Refusal(
        rule="early cache of type fp8_ds_mla",
        words="a KV cache of type fp8_ds_mla is in vLLM from 0.11.1 on",
        refused={"architecture": network(SPARSE), "kv_type": "fp8_ds_mla", "version": "0.11.0"},
        accepted={"architecture": network(SPARSE), "kv_type": "fp8_ds_mla", "version": "0.11.1"},
    ),
    Refusal(
        rule="formats",
        words="vLLM 0.32.0 loads no NF4 checkpoints",
        refused={"scheme": scheme("NF4")},
        accepted={"scheme": scheme("NF4"), "version": "0.27.1"},
    ),
    Refusal(
        rule="capability",
        words="MXFP4 needs compute capability 8.0 in vLLM, the devices have 7.5",
        refused={"scheme": scheme("MXFP4"), "capability": (7, 5)},
        accepted={"scheme": scheme("MXFP4"), "capability": (8, 0)},
    ),
    Refusal(
        rule="capability",
        words="vLLM needs compute capability 7.5, the devices have 7.0",
        refused={"capability": (7, 0)},
        accepted={"capability": (7, 5)},
    ),
    Refusal(
        rule="capability",
        words="vLLM is planned for NVIDIA and AMD GPUs, not for 'metal'",
        refused={"capability": None, "family": "metal"},
        accepted={"capability": None, "family": "rocm"},
    ),
    Refusal(
        rule="cache type",
        words="a KV cache of type fp8 needs compute capability 8.9, the devices have 8.0",
        refused={"kv_type": "fp8", "capability": (8, 0), "architecture": network(LATENT)},
        accepted={"kv_type": "fp8", "capability": (8, 0)},
    ),
    Refusal(
        rule="cache type",
        words="of type fp8_ds_mla is for latent attention with an indexer",
        refused={"kv_type": "fp8_ds_mla", "architecture": network(LATENT)},
        accepted={"kv_type": "fp8_ds_mla", "architecture": network(SPARSE)},
    ),
    Refusal(
        rule="cache type",
        words="rows of 512 + 64, not of 256 + 64",
        refused={
            "kv_type": "fp8_ds_mla",
            "architecture": network(SPARSE.model_copy(update={"kv_rank": 256})),
        },
        accepted={"kv_type": "fp8", "architecture": network(SPARSE)},
    ),
    Refusal(
        rule="cache type",
        words="is for compute capability 10 only, not 12.0",
        refused={
            "kv_type": "nvfp4_ds_mla",
            "architecture": network(SPARSE),
            "capability": (12, 0),
        },
        accepted={
            "kv_type": "nvfp4_ds_mla",
            "architecture": network(SPARSE),
            "capability": (10, 3),
        },
    ),
    Refusal(
        rule="cache type",
        words="with an indexer needs compute capability 9.0 in vLLM, the devices have 8.9",
        refused={"architecture": network(SPARSE), "capability": (8, 9)},
        accepted={"architecture": network(SPARSE), "capability": (9, 0)},
    ),
    Refusal(
        rule="window",
        words="a context of 8193 tokens is longer than the model's window of 8192",
        refused={"context": 8193},
        accepted={"context": 8192},
    ),
    Refusal(
        rule="window",
        words="the context must be at least 1 token, not 0",
        refused={"context": 0},
        accepted={"context": 1},
    ),
    Refusal(
        rule="batches",
        words="512 tokens in one step are fewer than 1024 requests in one step",
        refused={"max_num_batched_tokens": 512, "max_num_seqs": 1024},
        accepted={"max_num_batched_tokens": 1024, "max_num_seqs": 1024},
    ),
    Refusal(
        rule="batches",
        words="requests in one step must be at least 1, not 0",
        refused={"max_num_seqs": 0},
        accepted={"max_num_seqs": 1},
    ),
    Refusal(
        rule="utilization",
        words="must be above 0 and at most 1, not 1.2",
        refused={"utilization": 1.2},
        accepted={"utilization": 1.0},
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
        ({"tensor_parallel": 0}, "tensor parallelism must be at least 1, not 0"),
        ({"data_parallel": -1}, "data parallelism must be at least 1, not -1"),
        ({"redundant_experts": -2}, "redundant experts must not be fewer than 0, not -2"),
        (
            {"tensor_parallel": 4, "data_parallel": 2, "expert_parallel": 4},
            "over all 8 ranks of a stage or over none, not over 4",
        ),
        (
            {"tensor_parallel": 8, "decode_context_parallel": 3},
            "decode context parallelism of 3 does not divide 8 tensor-parallel ranks",
        ),
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
        (QWEN, {"tensor_parallel": 8, "expert_parallel": 8}, True),
        (QWEN, {"tensor_parallel": 4, "pipeline_parallel": 4}, True),
        (KIMI, {"tensor_parallel": 16}, True),
        (KIMI, {"tensor_parallel": 32}, False),
        (KIMI, {"tensor_parallel": 8, "pipeline_parallel": 4}, True),
        (KIMI, {"tensor_parallel": 8, "data_parallel": 2, "expert_parallel": 16}, True),
        (KIMI, {"tensor_parallel": 8, "decode_context_parallel": 8}, True),
    ],
)
def test_known_answers_for_fp8(name, grid, legal) -> None:
    reasons = BASE.but(architecture=model(name), scheme=FP8, **grid).reasons(rules)
    assert (reasons == ()) is legal


def test_kimi_on_32_ranks_names_every_matrix_it_cuts() -> None:
    asked = BASE.but(architecture=model(KIMI), scheme=FP8, tensor_parallel=32)
    words = " ".join(asked.reasons(rules))
    for part in ("576 columns of the dense down_proj", "64 columns of shared experts' down_proj"):
        assert part in words


@pytest.mark.parametrize("tensor", [2, 4, 8, 16])
def test_the_experts_of_gpt_oss_are_dealt_out_in_whole_groups(tensor) -> None:
    """2880 / 8 is no multiple of 32; its loader pads, where others would be refused."""
    asked = BASE.but(architecture=model(GPT_OSS), tensor_parallel=tensor)
    assert asked.but(scheme=default_scheme("MXFP4", experts=True)).reasons(rules) == ()
    other = asked.but(scheme=default_scheme("INT4-W4A16-g32", experts=True))
    assert bool(other.reasons(rules)) is (2880 // tensor % 32 > 0)


def test_default_stages_of_61_layers() -> None:
    place = BASE.place
    split = stages(model(KIMI), parallel(Grid(tensor_parallel=8, pipeline_parallel=4), place))
    assert split == (15, 15, 16, 15)


@pytest.mark.parametrize(
    ("name", "capability", "words"),
    [
        ("FP8", (8, 0), "FP8 on compute capability 8.0: weights only, computed in 16 bits"),
        ("FP8-channel", (8, 6), "FP8-channel on compute capability 8.6: weights only"),
        ("NVFP4", (9, 0), "NVFP4 on compute capability 9.0: weights only"),
        ("MXFP4", (9, 0), "MXFP4 on compute capability 9.0: weights only"),
        ("FP8", (8, 9), ""),
        ("NVFP4", (10, 0), ""),
        ("AWQ", (8, 0), ""),
        ("BF16", (8, 0), ""),
    ],
)
def test_a_fallback_to_weights_alone_is_legal_and_noted(name, capability, words) -> None:
    asked = BASE.but(scheme=scheme(name), capability=capability)
    assert asked.reasons(rules) == ()
    notes = asked.notes(rules)
    assert len(notes) == bool(words)
    assert all(words in note for note in notes)


def test_nvfp4_on_amd_is_of_weights_alone() -> None:
    asked = BASE.but(scheme=scheme("NVFP4"), family="rocm", capability=None)
    assert asked.reasons(rules) == ()
    assert asked.notes(rules) == ("NVFP4 on AMD GPUs: weights only, computed in 16 bits",)


def test_an_unknown_capability_refuses_nothing() -> None:
    asked = BASE.but(scheme=scheme("MXFP4"), capability=None, kv_type="fp8")
    assert asked.reasons(rules) == ()
    assert asked.notes(rules) == ()


@pytest.mark.parametrize("name", ["MLX-4bit", "EXL2-4.0bpw", "EXL3-4.0bpw", "NF4", "NF4-double"])
def test_formats_it_cannot_load(name) -> None:
    reason = rules.cannot_load(scheme(name))
    assert reason is not None
    assert reason.startswith("vLLM 0.32.0 loads no ")


def test_widths_of_integers_it_cannot_load() -> None:
    assert rules.cannot_load(stored(Gptq(bits=3))) == "vLLM 0.32.0 loads no GPTQ-Int3 checkpoints"
    assert rules.cannot_load(stored(Gptq(bits=8))) is None


def test_a_version_that_is_none_is_an_error() -> None:
    with pytest.raises(EngineError, match="no version"):
        BASE.but(version="latest").reasons(rules)


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
    assert all(grid.tensor_parallel <= 8 or grid.tensor_parallel % 8 == 0 for grid in grids)


def test_the_usual_layouts_are_among_those_worth_a_look() -> None:
    kimi = rules.grids(model(KIMI), place(16))
    for grid in (
        Grid(tensor_parallel=16),
        Grid(tensor_parallel=8, pipeline_parallel=2),
        Grid(tensor_parallel=16, expert_parallel=16),
        Grid(data_parallel=16, expert_parallel=16),
        Grid(tensor_parallel=8, data_parallel=2, expert_parallel=16),
        Grid(tensor_parallel=8, pipeline_parallel=2, decode_context_parallel=8),
    ):
        assert grid in kimi
    assert Grid(tensor_parallel=8, decode_context_parallel=2) in rules.grids(model(QWEN), place(8))


def test_dense_models_are_not_copied_and_own_caches_not_shared_out() -> None:
    grids = rules.grids(model("llama-3.3-70b"), place(16))
    assert {grid.data_parallel for grid in grids} == {1}
    assert {grid.expert_parallel for grid in grids} == {1}
    shared = {grid.tensor_parallel for grid in grids if grid.decode_context_parallel > 1}
    assert shared == {16}


def test_no_more_stages_than_layers_are_looked_at() -> None:
    grids = rules.grids(network(FULL, FULL), place(8))
    assert {grid.pipeline_parallel for grid in grids} == {1, 2}


def asked_of(run: vllm_tables.Run) -> tuple[Grid, Options, Place]:
    layout, settings = run.parallel, run.settings
    grid = Grid(
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        data_parallel=layout.data_parallel,
        expert_parallel=layout.ranks_per_stage if layout.expert_parallel else 1,
    )
    options = Options(
        context=settings.context_length,
        version=settings.version,
        utilization=settings.utilization,
        kv_type=settings.kv_type,
    )
    capability = (8, 0) if run.device == vllm_tables.A100 else (9, 0)
    return (
        grid,
        options,
        Place(family="cuda", capability=capability, gpus_per_machine=8, gpus=layout.ranks),
    )


def logged_runs() -> list[vllm_tables.Run]:
    """Every run that got as far as its memory, whether that was enough or not."""
    runs = [vllm_tables.startup_run(row) for row in table("vllm_startup_h100.csv")]
    rows = (x for x in table("vllm_logged_memory.csv") if x["id"] in vllm_tables.SCHEMES)
    return [*runs, *map(vllm_tables.logged_run, rows)]


def test_no_logged_start_is_refused() -> None:
    runs = logged_runs()
    assert len(runs) > 40
    for run in runs:
        network_of = vllm_tables.network(run.model)
        form = vllm_tables.scheme(run.scheme, run.model)
        assert rules.illegal(network_of, form, *asked_of(run)) == (), run


def test_a_mixed_checkpoint_is_cut_by_the_formats_of_its_own_layers() -> None:
    """Experts alone in INT4: attention of any width is left alone."""
    form = vllm_tables.scheme("INT4-experts", "moonshotai/Kimi-K2-Thinking")
    narrow = mixed(Grouped(heads=6, kv_heads=2, head_dim=20))
    asked = BASE.but(architecture=narrow, scheme=form, tensor_parallel=2)
    assert asked.reasons(rules) == ()
    assert asked.but(scheme=scheme("INT4-W4A16-g32")).reasons(rules) != ()
