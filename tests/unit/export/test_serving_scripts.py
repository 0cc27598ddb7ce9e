"""The start scripts for vLLM and SGLang, run with a program that stands for the engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from planner.export import sglang, vllm
from planner.plan import Plan
from tests.unit.export.fake_server import Run
from tests.unit.export.server_flags import complaints
from tests.unit.export.serving_plans import (
    MODEL,
    NODE,
    REPOSITORY,
    engine,
    layout,
    plan,
    row,
    two,
)

SHELLCHECK = shutil.which("shellcheck") or shutil.which(
    "shellcheck", path=str(Path(sys.executable).parent)
)
FIRST, SECOND = f"{NODE}-1", f"{NODE}-2"
HTTP = ["--host", "127.0.0.1", "--port", "8080"]
ON_ONE = {
    "one node": plan(),
    "experts dealt out": plan(degrees=layout(data_parallel=8, expert_parallel=8)),
    "sglang": plan("sglang", layout(tensor_parallel=8, data_parallel=8, expert_parallel=8)),
}
ON_TWO = {
    "TP16": plan(degrees=layout(tensor_parallel=16), machines=two()),
    "TP8 PP2": plan(degrees=layout(tensor_parallel=8, pipeline_parallel=2), machines=two()),
    "DP16": plan(
        degrees=layout(data_parallel=16, expert_parallel=16, redundant_experts=32), machines=two()
    ),
    "uneven": plan(
        degrees=layout(tensor_parallel=4, pipeline_parallel=2, partition=(20, 41)), machines=two(4)
    ),
    "sglang": plan("sglang", layout(tensor_parallel=16, data_parallel=16), machines=two()),
    "sglang PP2": plan("sglang", layout(tensor_parallel=8, pipeline_parallel=2), machines=two()),
}


def texts(answer: Plan) -> dict[str, str]:
    return (vllm if answer.engine.name == "vllm" else sglang).files(answer, {})


def test_vllm_gets_every_setting_of_the_plan(tmp_path):
    run = Run(plan(), tmp_path, FIRST)
    settings = (
        "--tensor-parallel-size 8 --max-model-len 131072 --max-num-seqs 256 "
        "--max-num-batched-tokens 8192 --gpu-memory-utilization 0.92 --kv-cache-dtype auto"
    )
    assert run.words() == ["serve", REPOSITORY, *settings.split(), *HTTP]


def test_sglang_gets_every_setting_of_the_plan(tmp_path):
    degrees = layout(tensor_parallel=8, data_parallel=8, expert_parallel=8)
    run = Run(plan("sglang", degrees, engine=engine("sglang", kv_type="fp8")), tmp_path, FIRST)
    settings = (
        "--tp-size 8 --attn-dp-size 8 --ep-size 8 --context-length 131072 "
        "--max-running-requests 256 --chunked-prefill-size 8192 --mem-fraction-static 0.92 "
        "--kv-cache-dtype fp8_e4m3"
    )
    assert run.words() == ["serve", "--model-path", REPOSITORY, *settings.split(), *HTTP]


@pytest.mark.parametrize(
    ("answer", "machine"),
    [
        *((answer, FIRST) for answer in ON_ONE.values()),
        *((answer, machine) for answer in ON_TWO.values() for machine in (FIRST, SECOND)),
    ],
)
def test_the_engine_knows_every_argument(tmp_path, answer, machine):
    words = Run(answer, tmp_path, machine).words()
    flags = words[2:] if answer.engine.name == "vllm" else words[1:]
    assert not list(complaints(answer.engine.name, flags))


def last(words: list[str], flag: str) -> list[str]:
    return words[words.index(flag) :]


def test_vllm_on_two_machines_meets_at_the_head_and_the_other_answers_nobody(tmp_path):
    settings = {"ADDRESS_1": "127.0.0.7", "ADDRESS_2": "127.0.0.8", "INTERFACE_2": "eth7"}
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    head = Run(ON_TWO["TP8 PP2"], tmp_path / "1", FIRST, **settings)
    other = Run(ON_TWO["TP8 PP2"], tmp_path / "2", SECOND, **settings)
    meeting = ["--master-addr", "127.0.0.7", "--master-port", "29501"]
    assert last(head.words(), "--nnodes") == ["--nnodes", "2", "--node-rank", "0", *meeting, *HTTP]
    expected = ["--nnodes", "2", "--node-rank", "1", *meeting, "--headless"]
    assert last(other.words(), "--nnodes") == expected
    assert {"VLLM_HOST_IP=127.0.0.7"} <= set(head.words("environment"))
    expected = {"VLLM_HOST_IP=127.0.0.8", "NCCL_SOCKET_IFNAME=eth7", "GLOO_SOCKET_IFNAME=eth7"}
    assert expected <= set(other.words("environment"))


def test_data_parallel_replicas_of_another_machine_are_counted_on(tmp_path):
    words = Run(ON_TWO["DP16"], tmp_path, SECOND, RPC_PORT="7").words()
    assert words[words.index("--eplb-config") + 1] == '{"num_redundant_experts": 32}'
    expected = "--headless --data-parallel-size-local 8 --data-parallel-start-rank 8"
    meeting = "--data-parallel-address 127.0.0.1 --data-parallel-rpc-port 7"
    assert last(words, "--headless") == f"{expected} {meeting}".split()


def test_sglang_on_two_machines_answers_its_own_address(tmp_path):
    run = Run(ON_TWO["sglang"], tmp_path, SECOND, ADDRESS_1="127.0.0.7", ADDRESS_2="127.0.0.8")
    meeting = "--nnodes 2 --node-rank 1 --dist-init-addr 127.0.0.7:25000"
    expected = [*meeting.split(), "--host", "127.0.0.8", "--port", "8080"]
    assert last(run.words(), "--nnodes") == expected
    assert "SGLANG_HOST_IP=127.0.0.8" in run.words("environment")


def test_a_name_is_looked_up_because_engines_bind_to_numbers(tmp_path):
    run = Run(ON_TWO["TP16"], tmp_path, SECOND, ADDRESS_1="localhost", ADDRESS_2="localhost")
    words = run.words()
    assert words[words.index("--master-addr") + 1] == "127.0.0.1"
    assert "VLLM_HOST_IP=127.0.0.1" in run.words("environment")


def test_loopback_between_machines_is_pointed_out(tmp_path):
    run = Run(ON_TWO["TP16"], tmp_path, SECOND)
    assert "ADDRESS_1 is 127.0.0.1, which other machines do not reach" in run.said


def test_the_gpus_are_those_of_the_plan_in_its_order(tmp_path):
    answer = plan(degrees=layout(tensor_parallel=4), machines=[(FIRST, 4)])
    numbers = (6, 2, 3, 7)
    devices = tuple(
        device.model_copy(update={"id": f"{FIRST}.{number}"})
        for device, number in zip(answer.devices, numbers, strict=True)
    )
    run = Run(answer.model_copy(update={"devices": devices}), tmp_path, FIRST)
    environment = run.words("environment")
    assert "CUDA_VISIBLE_DEVICES=6,2,3,7" in environment
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in environment
    assert not any(entry.startswith("VLLM_PP_LAYER_PARTITION") for entry in environment)


def test_uneven_stages_are_said_in_the_environment(tmp_path):
    run = Run(ON_TWO["uneven"], tmp_path, FIRST)
    assert "VLLM_PP_LAYER_PARTITION=20,41" in run.words("environment")


def test_the_script_becomes_the_engine_and_ends_with_its_status(tmp_path):
    run = Run(plan(), tmp_path, FIRST)
    assert run.became_the_engine
    assert run.status == 7


def test_extra_flags_come_last_split_at_spaces_and_not_matched_against_files(tmp_path):
    run = Run(plan(), tmp_path, FIRST, ENGINE_EXTRA="--trust-remote-code  --api-key $HOME *")
    assert run.words()[-4:] == ["--trust-remote-code", "--api-key", "$HOME", "*"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"MODEL": "/no/such/folder"}, "no model at /no/such/folder: set MODEL in settings.env"),
        ({"ENGINE": "/no/such/file"}, "no program /no/such/file: set ENGINE in settings.env"),
        ({"ADDRESS_1": ""}, "has no IPv4 address here: set ADDRESS_1 in settings.env"),
        ({"ADDRESS_2": "no-such-host.invalid"}, "no-such-host.invalid has no IPv4 address here"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, settings, complaint):
    run = Run(ON_TWO["TP16"], tmp_path, SECOND, **settings)
    assert run.status == 1
    assert complaint in run.said
    assert not (run.record / "arguments").exists()


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_no_text_of_a_plan_or_of_the_settings_runs_as_a_command(tmp_path, name):
    bait = "x\n$(touch pwned)`touch pwned`'; touch pwned; \"; rm -rf /\u2028\ntouch pwned\n# ß漢"
    download = plan().download.model_copy(update={"repository": bait})
    hostile = plan(
        name,
        layout(tensor_parallel=16),
        machines=two(),
        cluster=(row(setting_command=bait),),
        model=MODEL.model_copy(update={"name": bait, "quant": bait}),
        engine=engine(name, build=bait),
        download=download,
        planner_version=bait,
    )
    folder = tmp_path / "a $(touch pwned) b"
    folder.mkdir()
    run = Run(
        hostile,
        tmp_path,
        SECOND,
        MODEL=f"'{folder}'",
        ENGINE_EXTRA="$(touch pwned) ;touch pwned",
        INTERFACE_2="'$(touch pwned)'",
    )
    assert str(folder) in run.words()
    assert run.words()[-4:] == ["$(touch", "pwned)", ";touch", "pwned"]
    assert not list(tmp_path.rglob("pwned"))


def test_a_repository_that_is_none_does_not_become_an_option():
    for repository in ("--config=x", "a b/c", "a/b/c", "", "$(x)/y"):
        download = plan().download.model_copy(update={"repository": repository})
        assert "\nMODEL=/models/kimi-k2-FP8\n" in texts(plan(download=download))["settings.env"]


ALL = {**ON_ONE, **{f"two: {name}": answer for name, answer in ON_TWO.items()}}


@pytest.mark.parametrize("answer", ALL.values(), ids=ALL)
def test_scripts_are_plain_sh(tmp_path, answer):
    shells = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
    for name, text in texts(answer).items():
        if name.endswith(".sh"):
            assert text.startswith("#!/bin/sh\n")
            for shell in shells:
                subprocess.run([shell, "-n"], input=text, text=True, check=True)


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say(tmp_path):
    paths = []
    for number, answer in enumerate(ALL.values()):
        changed = answer.model_copy(update={"cluster": (row(setting_command="it's $x"),)})
        for name, text in texts(changed).items():
            if name.endswith(".sh"):
                paths.append(tmp_path / f"{number}-{name}")
                paths[-1].write_text(text)
    done = subprocess.run([SHELLCHECK, *paths], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0
