"""The exported scripts, run with programs that stand for the engine's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from planner.export.llama_cpp import export_llama_cpp, files
from tests.unit.export.fake_engine import Run
from tests.unit.export.plans import HEAD, OTHER, plan
from tests.unit.report import example

SHELLCHECK = shutil.which("shellcheck") or shutil.which(
    "shellcheck", path=str(Path(sys.executable).parent)
)


def test_the_engine_gets_every_setting_of_the_plan(tmp_path):
    run = Run(plan(), tmp_path, HEAD)
    remote = ",".join(f"127.0.0.1:{port}" for port in range(25056, 25060))
    names = "CUDA0,CUDA1,CUDA2,CUDA3,RPC0,RPC1,RPC2,RPC3"
    expected = ["-m", str(tmp_path / "weights.gguf"), "--rpc", remote, "-dev", names]
    settings = "-c 131072 -np 1 -ub 512 -b 2048 -fa on -ctk f16 -ctv f16 -ngl 62"
    rest = "-ts 6,8,8,8,8,8,8,8 -fit off --host 127.0.0.1 --port 8080"
    assert run.arguments() == [*expected, *f"{settings} {rest}".split()]


def test_other_settings_become_other_flags(tmp_path):
    engine = example.ENGINE.model_copy(
        update={
            "context": 65536,
            "slots": 8,
            "ubatch": 128,
            "batch": 256,
            "flash_attention": False,
            "kv_type": "f32",
            "swa_full": True,
        }
    )
    words = " ".join(Run(plan(engine=engine), tmp_path, HEAD).arguments())
    assert "-c 65536 -np 8 -ub 128 -b 256 -fa off -ctk f32 -ctv f32 --swa-full" in words


def test_extra_flags_come_last_split_at_spaces_and_not_matched_against_files(tmp_path):
    run = Run(plan(), tmp_path, HEAD, LLAMA_EXTRA="-fit on  -ot * --api-key $HOME")
    assert run.arguments()[-6:] == ["-fit", "on", "-ot", "*", "--api-key", "$HOME"]


def test_the_order_of_devices_is_the_plans_however_they_are_reached(tmp_path):
    run = Run(
        plan(),
        tmp_path,
        HEAD,
        DEVICE_2="",
        ENDPOINT_2="127.0.0.1:1",
        DEVICE_5="CUDA7",
        ENDPOINT_5="",
    )
    arguments = run.arguments()
    assert arguments[arguments.index("-dev") + 1] == "CUDA0,RPC0,CUDA2,CUDA3,CUDA7,RPC1,RPC2,RPC3"
    assert arguments[arguments.index("--rpc") + 1].startswith("127.0.0.1:1,127.0.0.1:25057,")


def test_one_machine_gets_no_rpc(tmp_path):
    devices = tuple(
        device.model_copy(update={"node": HEAD, "id": f"{HEAD}.{number}"})
        for number, device in enumerate(plan().devices)
    )
    row = plan().cluster[0].model_copy(update={"count": 1, "gpus_per_node": 8})
    run = Run(plan(devices=devices, cluster=(row,)), tmp_path, HEAD)
    assert "--rpc" not in run.arguments()
    assert "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7" in run.environment()
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in run.environment()


def test_a_device_of_the_head_with_an_endpoint_is_served(tmp_path):
    run = Run(
        plan(), tmp_path, HEAD, DEVICE_1="CPU", ENDPOINT_1="localhost:7001", RPC_EXTRA="-c -t 2"
    )
    assert run.arguments("ggml-rpc-server") == ["-d CPU -H 127.0.0.1 -p 7001 -c -t 2"]


def test_an_engine_that_ends_ends_the_script_with_an_error(tmp_path):
    run = Run(plan(), tmp_path, HEAD)
    assert run.status == 1
    assert f"{HEAD}: llama-server has ended with status 0" in run.said


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"MODEL": "/no/such/file"}, "no weight file /no/such/file: set MODEL"),
        ({"LLAMA_SERVER": "/no/such/file"}, "no program /no/such/file: set LLAMA_SERVER"),
        ({"DEVICE_3": "", "ENDPOINT_3": ""}, "neither DEVICE_n nor ENDPOINT_n"),
        (
            {"LLAMA_SERVER": "true", "WAIT_SECONDS": "1"},
            "answers at 127.0.0.1:25056 127.0.0.1:25057",
        ),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, settings, complaint):
    run = Run(plan(), tmp_path, HEAD, **settings)
    assert run.status == 1
    assert complaint in run.said
    assert not (run.record / "llama-server").exists()


@pytest.mark.parametrize("setting", ["DEVICE_5", "ENDPOINT_5"])
def test_a_machine_that_serves_nothing_says_so(tmp_path, setting):
    settings = {setting.replace("5", str(number)): "" for number in range(5, 9)}
    run = Run(plan(), tmp_path, OTHER, **settings)
    assert run.status == 1
    assert "no ggml-rpc-server to start" in run.said


def test_no_text_of_a_plan_or_of_the_settings_runs_as_a_command(tmp_path):
    bait = "x\n$(touch pwned)`touch pwned`'; touch pwned; \"\ntouch pwned\n#"
    row = plan().cluster[0].model_copy(update={"setting_command": bait})
    hostile = plan(
        cluster=(row,),
        model=example.MODEL.model_copy(update={"name": bait, "quant": bait}),
        engine=example.ENGINE.model_copy(update={"build": bait, "kv_type": bait}),
        planner_version=bait,
    )
    quoted = "'" + str(tmp_path / "a $(touch pwned) b.gguf") + "'"
    (tmp_path / "a $(touch pwned) b.gguf").touch()
    run = Run(hostile, tmp_path, HEAD, MODEL=quoted, LLAMA_EXTRA="$(touch pwned) ;touch pwned")
    assert bait.splitlines()[0] in run.arguments()
    assert run.arguments()[1] == str(tmp_path / "a $(touch pwned) b.gguf")
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("family", ["cuda", "metal"])
def test_scripts_are_plain_sh(tmp_path, family):
    for path in export_llama_cpp(plan(family), tmp_path, {}, force=False):
        if path.suffix == ".sh":
            subprocess.run(["sh", "-n", path], check=True)
            assert path.read_text().startswith("#!/bin/sh\n")


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("family", ["cuda", "metal"])
def test_shellcheck_has_nothing_to_say(tmp_path, family):
    row = plan(family).cluster[0].model_copy(update={"setting_command": "it's $x"})
    paths = export_llama_cpp(plan(family, cluster=(row,)), tmp_path, {}, force=False)
    scripts = [path for path in paths if path.suffix == ".sh"]
    done = subprocess.run([SHELLCHECK, *scripts], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_scripts_of_a_plan_differ_in_what_they_do_only():
    texts = files(plan(), {})
    head, other = texts[f"start-{HEAD}.sh"], texts[f"start-{OTHER}.sh"]
    assert "llama-server" in head
    assert "LLAMA_SERVER" not in other
