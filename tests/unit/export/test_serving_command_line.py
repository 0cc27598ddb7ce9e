"""Arguments of vLLM and SGLang from settings and a layout."""

from __future__ import annotations

import pytest

from planner.engines.sglang import command_line as sglang
from planner.engines.vllm import command_line as vllm
from planner.errors import EngineError
from tests.unit.export.server_flags import complaints
from tests.unit.export.serving_plans import engine, layout

SETTINGS = {
    "vllm": "--max-model-len 131072 --max-num-seqs 256 --max-num-batched-tokens 8192 "
    "--gpu-memory-utilization 0.92 --kv-cache-dtype auto",
    "sglang": "--context-length 131072 --max-running-requests 256 --chunked-prefill-size 8192 "
    "--mem-fraction-static 0.92 --kv-cache-dtype auto",
}


def at_vllm(degrees, node, devices):
    return vllm.node_arguments(degrees, node, devices, address="a", port="1", rpc_port="2")


def at_sglang(degrees, node, devices):
    return sglang.node_arguments(degrees, node, devices, address="a", port="1")


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        ({}, "--tensor-parallel-size 1"),
        (
            {"tensor_parallel": 8, "pipeline_parallel": 2},
            "--tensor-parallel-size 8 --pipeline-parallel-size 2",
        ),
        (
            {"tensor_parallel": 2, "data_parallel": 4},
            "--tensor-parallel-size 2 --data-parallel-size 4",
        ),
        (
            {"data_parallel": 8, "expert_parallel": 8},
            "--tensor-parallel-size 1 --data-parallel-size 8 --enable-expert-parallel",
        ),
        (
            {"tensor_parallel": 8, "decode_context_parallel": 8},
            "--tensor-parallel-size 8 --decode-context-parallel-size 8",
        ),
    ],
)
def test_vllm_gets_every_degree_and_every_setting(degrees, expected):
    arguments = vllm.server_arguments(engine("vllm"), layout(**degrees))
    assert " ".join(arguments) == f"{expected} {SETTINGS['vllm']}"
    assert not list(complaints("vllm", arguments))


def test_vllm_is_told_of_copies_of_experts_in_one_word():
    degrees = layout(tensor_parallel=4, expert_parallel=4, redundant_experts=32)
    arguments = vllm.server_arguments(engine("vllm"), degrees)
    place = arguments.index("--enable-eplb")
    expected = ("--enable-eplb", "--eplb-config", '{"num_redundant_experts": 32}')
    assert arguments[place : place + 3] == expected
    assert not list(complaints("vllm", arguments))


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        ({}, "--tp-size 1"),
        ({"tensor_parallel": 8, "pipeline_parallel": 2}, "--tp-size 8 --pp-size 2"),
        (
            {"tensor_parallel": 8, "data_parallel": 4, "expert_parallel": 8},
            "--tp-size 8 --attn-dp-size 4 --ep-size 8",
        ),
        (
            {"tensor_parallel": 8, "expert_parallel": 4, "redundant_experts": 16},
            "--tp-size 8 --ep-size 4 --ep-num-redundant-experts 16",
        ),
    ],
)
def test_sglang_gets_every_degree_and_every_setting(degrees, expected):
    arguments = sglang.server_arguments(engine("sglang"), layout(**degrees))
    assert " ".join(arguments) == f"{expected} {SETTINGS['sglang']}"
    assert not list(complaints("sglang", arguments))


@pytest.mark.parametrize(
    ("build", "named"),
    [("0.5.21", "--dp-size 4 --enable-dp-attention"), ("0.5.22", "--attn-dp-size 4")],
)
def test_older_sglang_has_other_words_for_replicas_of_attention(build: str, named: str) -> None:
    old = engine("sglang").model_copy(update={"build": build})
    arguments = sglang.server_arguments(old, layout(tensor_parallel=8, data_parallel=4))
    assert f"--tp-size 8 {named} --context-length" in " ".join(arguments)


@pytest.mark.parametrize("kv_type", ["auto", "bfloat16", "fp8", "fp8_ds_mla", "nvfp4_ds_mla"])
def test_vllm_has_every_cache_type_by_its_name(kv_type):
    arguments = vllm.server_arguments(engine("vllm", kv_type=kv_type), layout())
    assert arguments[-2:] == ("--kv-cache-dtype", kv_type)
    assert not list(complaints("vllm", arguments))


@pytest.mark.parametrize(
    ("kv_type", "name"), [("auto", "auto"), ("bfloat16", "bf16"), ("fp8", "fp8_e4m3")]
)
def test_sglang_spells_cache_types_its_way(kv_type, name):
    arguments = sglang.server_arguments(engine("sglang", kv_type=kv_type), layout())
    assert arguments[-2:] == ("--kv-cache-dtype", name)
    assert not list(complaints("sglang", arguments))


def test_what_an_engine_has_no_argument_for_is_refused():
    for kv_type in ("fp8_ds_mla", "q8_0", "$(touch x)"):
        with pytest.raises(EngineError, match="SGLang has no KV cache type"):
            sglang.server_arguments(engine("sglang", kv_type=kv_type), layout())
    with pytest.raises(EngineError, match="vLLM has no KV cache type 'q8_0'"):
        vllm.server_arguments(engine("vllm", kv_type="q8_0"), layout())
    with pytest.raises(EngineError, match="decode context parallelism is 2"):
        sglang.server_arguments(engine("sglang"), layout(decode_context_parallel=2))
    with pytest.raises(EngineError, match="all 8 devices of a stage or to none, not to 4"):
        vllm.server_arguments(engine("vllm"), layout(tensor_parallel=8, expert_parallel=4))
    with pytest.raises(EngineError, match="not to 1, and copies them only then"):
        vllm.server_arguments(engine("vllm"), layout(tensor_parallel=8, redundant_experts=8))


def test_one_machine_needs_nothing_of_its_own():
    degrees = layout(tensor_parallel=4, data_parallel=2)
    assert at_vllm(degrees, 0, (8,)) == at_sglang(layout(tensor_parallel=8), 0, (8,)) == ()


def test_vllm_spreads_one_replica_with_node_ranks():
    degrees = layout(tensor_parallel=8, pipeline_parallel=2)
    words = "--nnodes 2 --node-rank {} --master-addr a --master-port 1"
    assert " ".join(at_vllm(degrees, 0, (8, 8))) == words.format(0)
    assert " ".join(at_vllm(degrees, 1, (8, 8))) == words.format(1) + " --headless"


def test_vllm_puts_whole_replicas_on_machines_that_may_differ():
    degrees = layout(tensor_parallel=4, data_parallel=4, expert_parallel=16)
    meeting = "--data-parallel-address a --data-parallel-rpc-port 2"
    said = [" ".join(at_vllm(degrees, node, (4, 8, 4))) for node in range(3)]
    local = "--data-parallel-size-local"
    assert said == [
        f"{local} 1 {meeting}",
        f"--headless {local} 2 --data-parallel-start-rank 1 {meeting}",
        f"--headless {local} 1 --data-parallel-start-rank 3 {meeting}",
    ]


def test_vllm_spreads_several_replicas_over_whole_machines_each():
    degrees = layout(tensor_parallel=16, data_parallel=2)
    last = " ".join(at_vllm(degrees, 3, (8, 8, 8, 8)))
    assert last == (
        "--nnodes 4 --node-rank 3 --master-addr a --master-port 1 "
        "--data-parallel-address a --data-parallel-rpc-port 2 --headless"
    )


@pytest.mark.parametrize(
    ("degrees", "devices", "reason"),
    [
        ({"tensor_parallel": 12}, (8, 4), "same number of devices on every machine .*, not 8, 4"),
        ({"tensor_parallel": 4, "data_parallel": 3}, (6, 6), "part of one replica and part of"),
    ],
)
def test_vllm_cannot_cut_machines_unevenly(degrees, devices, reason):
    with pytest.raises(EngineError, match=reason):
        at_vllm(layout(**degrees), 0, devices)


def test_sglang_spreads_ranks_with_node_ranks():
    degrees = layout(tensor_parallel=16, data_parallel=16)
    assert at_sglang(degrees, 1, (8, 8)) == (
        *("--nnodes", "2", "--node-rank", "1", "--dist-init-addr", "a:1"),
    )


@pytest.mark.parametrize(
    ("degrees", "devices", "reason"),
    [
        ({"tensor_parallel": 12}, (8, 4), "same number of devices on every machine, not 8, 4"),
        ({"tensor_parallel": 2, "pipeline_parallel": 3}, (3, 3), "3 stages on 2 machines"),
    ],
)
def test_sglang_cannot_cut_stages_or_machines_unevenly(degrees, devices, reason):
    with pytest.raises(EngineError, match=reason):
        at_sglang(layout(**degrees), 0, devices)


@pytest.mark.parametrize(
    ("partition", "for_vllm", "for_sglang"),
    [
        ((), None, None),
        ((61,), None, None),
        ((31, 30), None, "31,30"),
        ((30, 31), "30,31", None),
        ((15, 15, 16, 15), None, "15,15,16,15"),
        ((15, 15, 15, 16), "15,15,15,16", None),
        ((20, 41), "20,41", "20,41"),
    ],
)
def test_layers_per_stage_are_said_where_the_engine_would_choose_others(
    partition, for_vllm, for_sglang
):
    degrees = layout(pipeline_parallel=max(1, len(partition)), partition=partition)
    assert vllm.environment(degrees).get("VLLM_PP_LAYER_PARTITION") == for_vllm
    assert sglang.environment(degrees).get("SGLANG_PP_LAYER_PARTITION") == for_sglang
