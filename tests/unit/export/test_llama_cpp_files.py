"""What the launch files for llama.cpp say, and which plans get none."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from planner.errors import EngineError, RequestError, UnknownName
from planner.export.llama_cpp import files
from planner.plan import Layout
from tests.unit.export import serving_plans
from tests.unit.export.plans import HEAD, OTHER, cluster_row, on, plan


def values(text: str) -> dict[str, str]:
    """NAME to value of a devices.env."""
    return dict(re.findall(r"(?m)^([A-Z_0-9]+)=(.*)$", text))


def test_there_is_one_script_per_machine_the_settings_and_a_readme():
    names = list(files(plan(), {}))
    assert names == [f"start-{HEAD}.sh", f"start-{OTHER}.sh", "devices.env", "README.txt"]


def test_the_same_plan_gives_the_same_bytes():
    assert files(plan(), {}) == files(plan(), {})


def test_every_file_names_the_plan_the_planner_and_the_engine_build():
    content = json.dumps(plan().model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    title = f"plan {digest}: kimi-k2 Q4_K_M for llama.cpp b11434, by gpu-deployment-planner 0.1.0"
    assert all(title in text for text in files(plan(), {}).values())


def test_another_plan_has_another_digest():
    one, other = plan(), plan(catalog_digest="0" * 64)
    assert files(one, {})["README.txt"] != files(other, {})["README.txt"]


def test_devices_of_the_head_are_local_and_the_others_have_an_endpoint_each():
    env = values(files(plan(), {})["devices.env"])
    assert [env[f"DEVICE_{n}"] for n in range(1, 9)] == [
        f"CUDA{index}" for index in (0, 1, 2, 3, 0, 1, 2, 3)
    ]
    endpoints = [env[f"ENDPOINT_{n}"] for n in range(1, 9)]
    assert endpoints[:4] == [""] * 4
    assert len(set(endpoints[4:])) == 4
    assert "DEVICE_9" not in env


def test_everything_is_on_loopback_without_addresses():
    env = values(files(plan(), {})["devices.env"])
    assert env["HTTP_HOST"] == "127.0.0.1"
    assert all(env[f"ENDPOINT_{n}"].startswith("127.0.0.1:") for n in range(5, 9))


def test_the_reason_for_loopback_is_given():
    texts = files(plan(), {})
    for name in ("devices.env", "README.txt"):
        assert "authentication" in texts[name]


def test_an_address_is_used_for_its_machine_only():
    env = values(files(plan(), {OTHER: "10.0.0.12"})["devices.env"])
    assert env["HTTP_HOST"] == "127.0.0.1"
    assert all(env[f"ENDPOINT_{n}"].startswith("10.0.0.12:") for n in range(5, 9))
    env = values(files(plan(), {HEAD: "gpu-1.lan", OTHER: "gpu-2.lan"})["devices.env"])
    assert env["HTTP_HOST"] == "gpu-1.lan"
    assert env["ENDPOINT_5"].startswith("gpu-2.lan:")


@pytest.mark.parametrize(
    ("family", "name", "variable"),
    [
        ("cuda", "CUDA3", "CUDA_VISIBLE_DEVICES"),
        ("rocm", "ROCm3", "HIP_VISIBLE_DEVICES"),
        ("metal", "MTL3", None),
        ("sycl", "SYCL3", None),
    ],
)
def test_device_names_follow_the_family(family, name, variable):
    texts = files(plan(family), {})
    env = values(texts["devices.env"])
    assert env["DEVICE_4"] == name
    assert ("VISIBLE_1" in env) == (variable is not None)
    exported = re.findall(r"(?m)^export (\w+)", texts[f"start-{HEAD}.sh"])
    order = ["CUDA_DEVICE_ORDER"] if family == "cuda" else []
    assert exported == order + ([variable] if variable else [])


def test_the_family_of_a_plan_that_does_not_note_it_is_looked_up():
    row = cluster_row("mac", 8, gpu="apple-m5-ultra-512", family=None)
    machines = [("mac-1", number) for number in range(8)]
    env = values(files(plan(cluster=(row,), devices=on(machines)), {})["devices.env"])
    assert env["DEVICE_1"] == "MTL0"


def test_linked_machines_have_a_script_each_and_count_their_own_devices():
    row = cluster_row("pair", 8, machines=2)
    machines = [("pair-1a", number) for number in range(4)]
    machines += [("pair-1b", number) for number in range(4, 8)]
    texts = files(plan(cluster=(row,), devices=on(machines)), {})
    assert {"start-pair-1a.sh", "start-pair-1b.sh"} < set(texts)
    env = values(texts["devices.env"])
    assert [env[f"DEVICE_{n}"] for n in (1, 4, 5, 8)] == ["CUDA0", "CUDA3", "CUDA0", "CUDA3"]
    assert env["VISIBLE_2"] == "0,1,2,3"


def test_the_head_is_the_machine_of_the_first_layers_whatever_the_order_of_devices():
    shuffled = tuple(reversed(plan().devices))
    assert next(iter(files(plan(devices=shuffled), {}))) == f"start-{HEAD}.sh"
    assert "-ts 6,8,8,8,8,8,8,8 " in files(plan(devices=shuffled), {})[f"start-{HEAD}.sh"]


def test_an_idle_device_is_not_passed_and_an_idle_machine_has_no_script():
    devices = plan().devices
    idle = {"slots": 0, "stage": None, "first_layer": None, "last_layer": None, "output": False}
    spare = devices[0].model_copy(update={**idle, "id": "spare-1.0", "node": "spare-1"})
    texts = files(plan(devices=(spare, *devices)), {"spare-1": "10.0.0.9"})
    assert "start-spare-1.sh" not in texts
    assert "spare" not in texts["devices.env"]


def test_a_setting_the_memory_needs_is_in_the_script_and_the_readme():
    row = plan().cluster[0].model_copy(update={"setting_command": "sudo sysctl x.y=1"})
    texts = files(plan(cluster=(row,)), {})
    assert "say 'the planned memory needs: sudo sysctl x.y=1'" in texts[f"start-{OTHER}.sh"]
    assert f"On {HEAD}: sudo sysctl x.y=1" in texts["README.txt"]


def test_the_readme_starts_the_head_last():
    readme = files(plan(), {})["README.txt"]
    assert readme.index(f"start-{OTHER}.sh") < readme.index(f"start-{HEAD}.sh")


@pytest.mark.parametrize(
    "degree", ["tensor_parallel", "expert_parallel", "data_parallel", "replicas"]
)
def test_a_degree_llama_cpp_has_no_flag_for_is_refused(degree):
    layout = Layout(pipeline_parallel=8).model_copy(update={degree: 2})
    with pytest.raises(EngineError, match=f"{degree} is 2"):
        files(plan(layout=layout), {})


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_a_plan_for_another_engine_is_refused(name):
    with pytest.raises(EngineError, match=f"for {name}, not for llama") as caught:
        files(serving_plans.plan(name), {})
    assert f"plan export {name}" in caught.value.hint


def test_more_devices_than_the_engine_takes_are_refused():
    with pytest.raises(EngineError, match="takes 1 to 15 devices, the plan uses 16"):
        files(plan(devices=plan().devices * 2), {})


def test_a_device_llama_cpp_has_no_backend_for_is_refused():
    with pytest.raises(EngineError, match="no backend for devices of family 'other'"):
        files(plan("other"), {})


def changed(place: int, **changes: object):
    """The plan's devices with one of them changed."""
    devices = list(plan().devices)
    devices[place] = devices[place].model_copy(update=changes)
    return tuple(devices)


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        (changed(3, stage=4), "stage 4"),
        (changed(3, stage=None), "stage None"),
        (changed(3, first_layer=23), "starts at layer 23, not 22"),
        (changed(0, first_layer=None, last_layer=None), "has 6 slots for 0 layers"),
        (changed(7, output=False), "lacks the output"),
        (changed(2, output=True), "has the output"),
        (changed(2, slots=7), "has 7 slots for 8 layers"),
        (changed(2, slots=9), "has 9 slots for 8 layers"),
        (changed(7, last_layer=59, slots=7), "60 of 61 layers"),
    ],
)
def test_layers_that_are_not_placed_once_and_in_order_are_refused(devices, problem):
    with pytest.raises(EngineError, match=problem):
        files(plan(devices=devices), {})


def test_an_mtp_block_is_a_slot_of_the_last_or_last_but_one_device():
    assert (
        "-ngl 63 -ts 6,8,8,8,8,8,8,9 "
        in files(plan(devices=changed(7, slots=9)), {})[f"start-{HEAD}.sh"]
    )


@pytest.mark.parametrize("name", ["../up-1", "a b-1", "x;rm-1", "x\n-1", "-1"])
def test_a_machine_name_that_is_no_file_name_is_refused(name):
    row = cluster_row(name.removesuffix("-1"), 8)
    with pytest.raises(EngineError, match="file name"):
        files(plan(cluster=(row,), devices=on([(name, number) for number in range(8)])), {})


def test_a_machine_of_no_node_type_is_refused():
    with pytest.raises(EngineError, match="no node type"):
        files(plan(devices=on([("other-1", number) for number in range(8)])), {})


def test_a_host_the_plan_does_not_have_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="unknown host 'rtx-pro-6000-server-x4-3'") as caught:
        files(plan(), {"rtx-pro-6000-server-x4-3": "10.0.0.1"})
    assert HEAD in caught.value.hint


NO_ADDRESSES = (
    *("", "10.0.0", "10.0.0.256", "0.0.0.0", "224.0.0.1", "::1", "10.0.0.1:80", "http://a"),
    *("a b", "a;b", "$(x)", "-h", "a..b", "a_b", "x" * 64, "10.0.0.1\n", "\u0661\u0662.0.0.1"),
)


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(RequestError, match="address"):
        files(plan(), {OTHER: address})
