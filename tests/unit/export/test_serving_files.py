"""What the launch files for vLLM and SGLang say, and which plans get none."""

from __future__ import annotations

import re

import pytest

from planner.cli import main
from planner.errors import EngineError, FileError, RequestError, UnknownName
from planner.export import sglang, vllm
from planner.export.vllm import export_vllm
from planner.plan import Plan
from tests.unit.export import plans
from tests.unit.export.serving_plans import NODE, engine, layout, plan, row, two

FIRST, SECOND = f"{NODE}-1", f"{NODE}-2"
PIPELINE = plan(degrees=layout(tensor_parallel=8, pipeline_parallel=2), machines=two())


def texts(answer: Plan, **hosts: str) -> dict[str, str]:
    addresses = {FIRST if name == "first" else SECOND: host for name, host in hosts.items()}
    return (sglang if answer.engine.name == "sglang" else vllm).files(answer, addresses)


def values(text: str) -> dict[str, str]:
    """NAME to value of a settings.env."""
    return dict(re.findall(r"(?m)^([A-Z_0-9]+)=(.*)$", text))


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_there_is_one_script_per_machine_the_settings_and_a_readme(name):
    answer = plan(name, layout(tensor_parallel=16), machines=two())
    names = [f"start-{FIRST}.sh", f"start-{SECOND}.sh", "settings.env", "README.txt"]
    assert list(texts(answer)) == names
    assert texts(answer) == texts(answer)
    build = {"vllm": "0.32.0", "sglang": "0.5.23"}[name]
    title = f"kimi-k2 FP8 for {name} {build}, by gpu-deployment-planner 0.1.0"
    assert all(title in text for text in texts(answer).values())


def test_one_machine_needs_no_addresses():
    env = values(texts(plan())["settings.env"])
    assert env == {
        "MODEL": "moonshotai/Kimi-K2-Instruct",
        "ENGINE": "vllm",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "8080",
        "VISIBLE_1": "0,1,2,3,4,5,6,7",
    }


@pytest.mark.parametrize(
    ("answer", "ports"),
    [
        (PIPELINE, {"MASTER_PORT": "29501"}),
        (plan(degrees=layout(data_parallel=16), machines=two()), {"RPC_PORT": "29550"}),
        (
            plan(
                degrees=layout(tensor_parallel=16, data_parallel=2),
                machines=[(f"{NODE}-{number}", 8) for number in range(1, 5)],
            ),
            {"MASTER_PORT": "29501", "RPC_PORT": "29550"},
        ),
        (plan("sglang", layout(tensor_parallel=16), machines=two()), {"DIST_PORT": "25000"}),
    ],
)
def test_the_ports_that_are_used_are_settings(answer, ports):
    env = values(texts(answer)["settings.env"])
    found = {name: value for name, value in env.items() if name.endswith("_PORT")}
    assert found == {"HTTP_PORT": "8080", **ports}


def test_an_address_is_used_for_its_machine_only():
    env = values(texts(PIPELINE, second="10.0.0.12")["settings.env"])
    assert (env["HTTP_HOST"], env["ADDRESS_1"], env["ADDRESS_2"]) == (
        "127.0.0.1",
        "127.0.0.1",
        "10.0.0.12",
    )
    env = values(texts(PIPELINE, first="gpu-1.lan", second="gpu-2.lan")["settings.env"])
    assert env["HTTP_HOST"] == env["ADDRESS_1"] == "gpu-1.lan"


def test_missing_addresses_and_the_open_network_are_pointed_out():
    assert "no other\nmachine reaches them" in texts(PIPELINE)["README.txt"]
    both = texts(PIPELINE, first="10.0.0.11", second="10.0.0.12")
    assert "reaches them" not in both["README.txt"]
    assert "private network" in both["settings.env"]


def test_the_settings_say_what_each_machine_holds():
    env = texts(PIPELINE)["settings.env"]
    assert f"# {FIRST}, the head: 8 devices\n# replica 0, stage 0: layers 0-30 on 8;" in env
    assert "# replica 0, stage 1: layers 31-60 and the output on 8; weights 62,001 MiB each" in env


def test_the_readme_starts_the_head_first_and_says_how_to_stop():
    readme = texts(PIPELINE)["README.txt"]
    assert readme.index(f"./start-{FIRST}.sh") < readme.index(f"./start-{SECOND}.sh")
    assert "stop the others too" in readme
    answer = plan("sglang", layout(tensor_parallel=16), machines=two())
    assert "Stop the head first" in texts(answer)["README.txt"]


def test_a_setting_the_memory_needs_is_in_the_script_and_the_readme():
    answer = plan(cluster=(row(setting_command="sudo sysctl x.y=1"),))
    assert "say 'the planned memory needs: sudo sysctl x.y=1'" in texts(answer)[f"start-{FIRST}.sh"]
    assert f"On {FIRST}: sudo sysctl x.y=1" in texts(answer)["README.txt"]


def test_amd_devices_have_their_own_variable():
    script = texts(plan(cluster=(row(family="rocm"),)))[f"start-{FIRST}.sh"]
    assert re.findall(r"(?m)^export (\w+)", script) == ["HIP_VISIBLE_DEVICES"]


def test_the_family_of_a_plan_that_does_not_note_it_is_looked_up():
    assert "CUDA_VISIBLE_DEVICES" in texts(plan(cluster=(row(family=None),)))["settings.env"]


def test_linked_machines_have_a_script_each_and_count_their_own_devices():
    machines = [("pair-1a", 1), ("pair-1b", 1)]
    answer = plan(
        degrees=layout(tensor_parallel=2),
        machines=machines,
        cluster=(row("pair", 2, machines=2),),
    )
    second = answer.devices[1].model_copy(update={"id": "pair-1b.1"})
    env = values(
        texts(answer.model_copy(update={"devices": (answer.devices[0], second)}))["settings.env"]
    )
    assert (env["VISIBLE_1"], env["VISIBLE_2"]) == ("0", "0")


def test_idle_devices_and_machines_get_nothing():
    idle = {"slots": 0, "stage": None, "first_layer": None, "last_layer": None, "output": False}
    spare = plan().devices[0].model_copy(update={**idle, "id": "spare-1.0", "node": "spare-1"})
    found = vllm.files(plan(devices=(*plan().devices, spare)), {"spare-1": "10.0.0.9"})
    assert "start-spare-1.sh" not in found
    assert "spare" not in found["settings.env"]


def changed(place: int, **changes: object):
    """The devices of the pipeline with one of them changed."""
    devices = list(PIPELINE.devices)
    devices[place] = devices[place].model_copy(update=changes)
    return tuple(devices)


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        (PIPELINE.devices[:15], "the layout has 16 ranks, but 15 devices hold layers"),
        ((), "16 ranks, but 0 devices"),
        (changed(3, stage=1), f"rank 3 is {FIRST}.3 of replica 0, stage 1, not of .* stage 0"),
        (changed(9, replica=1), f"rank 9 is {SECOND}.1 of replica 1, stage 1, not of replica 0"),
        (changed(3, last_layer=29), "stage 0 do not all hold the same layers from 0 on"),
        (changed(9, first_layer=None), "stage 1 do not all hold the same layers from 31 on"),
        (changed(9, output=False), "stage 1 do not all hold the same"),
        (changed(1, id=f"{FIRST}.0"), f"two ranks of {FIRST} are on one device"),
        (changed(1, id="x"), "device 'x' has no number"),
        (changed(1, node=SECOND), f"the ranks of {FIRST} do not follow each other"),
        (changed(1, node="other-1"), f"the ranks of {FIRST} do not follow each other"),
    ],
)
def test_devices_that_are_no_grid_are_refused(devices, problem):
    with pytest.raises(EngineError, match=problem):
        texts(PIPELINE.model_copy(update={"devices": devices}))


def all_changed(**changes: object):
    return tuple(device.model_copy(update=changes) for device in plan().devices)


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        (all_changed(output=False), "stage 0 lacks the output"),
        (all_changed(last_layer=59), "the devices hold 60 layers, the plan has 61"),
        (all_changed(first_layer=1), "the same layers from 0 on"),
        (all_changed(last_layer=None), "the same layers from 0 on"),
    ],
)
def test_layers_that_are_not_all_placed_are_refused(devices, problem):
    with pytest.raises(EngineError, match=problem):
        texts(plan(devices=devices))


def test_layers_must_be_those_of_the_layout():
    degrees = layout(tensor_parallel=8, pipeline_parallel=2, partition=(30, 31))
    with pytest.raises(EngineError, match="the devices hold 31,30 layers, the plan has 30,31"):
        texts(PIPELINE.model_copy(update={"layout": degrees}))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            plan().model_copy(update={"layout": layout(tensor_parallel=8, replicas=2)}),
            "replicas is 2",
        ),
        (plan().model_copy(update={"layout": layout(tensor_parallel=0)}), "0 ranks, but 8 devices"),
        (plan(degrees=layout(tensor_parallel=12), machines=[(FIRST, 8), (SECOND, 4)]), "not 8, 4"),
        (
            plan("sglang", layout(tensor_parallel=12), machines=[(FIRST, 8), (SECOND, 4)]),
            "SGLang needs the same number of devices on every machine, not 8, 4",
        ),
        (plan(degrees=layout(tensor_parallel=8, expert_parallel=4)), "not to 4"),
        (plan(engine=engine(kv_type="q8_0")), "no KV cache type 'q8_0'"),
        (plan(cluster=(row(family="metal"),)), "cuda or rocm, not on metal"),
        (plan(cluster=(row("other"),)), "no node type"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(answer, problem):
    with pytest.raises(EngineError, match=problem):
        texts(answer)


def test_families_do_not_mix():
    machines = [("one-1", 8), ("two-1", 8)]
    rows = (row("one"), row("two", family="rocm"))
    with pytest.raises(EngineError, match="of one family, cuda or rocm, not on cuda and rocm"):
        texts(plan(degrees=layout(tensor_parallel=16), machines=machines, cluster=rows))


@pytest.mark.parametrize("name", ["../up-1", "a b-1", "x;rm-1", "x\n-1", "-1", "ü-1"])
def test_a_machine_name_that_is_no_file_name_is_refused(name):
    cluster = (row(name.removesuffix("-1")),)
    with pytest.raises(EngineError, match="file name"):
        texts(plan(machines=[(name, 8)], cluster=cluster))


def test_a_plan_for_another_engine_is_refused():
    with pytest.raises(EngineError, match=r"for llama\.cpp, not for vllm") as caught:
        vllm.files(plans.plan(), {})
    assert "plan export llama.cpp" in caught.value.hint
    with pytest.raises(EngineError, match="for vllm, not for sglang") as caught:
        sglang.files(plan(), {})
    assert "plan export vllm" in caught.value.hint


def test_wrong_hosts_are_refused():
    with pytest.raises(UnknownName, match="unknown host 'hgx-h200-3'"):
        vllm.files(plan(), {f"{NODE}-3": "10.0.0.1"})
    with pytest.raises(RequestError, match="not an address"):
        vllm.files(plan(), {FIRST: "a;b"})


def test_a_plan_that_does_not_fit_needs_force_and_nothing_is_overwritten(tmp_path):
    tight = plan(verdict="no")
    with pytest.raises(EngineError, match="does not fit"):
        export_vllm(tight, tmp_path / "out", {}, force=False)
    assert not (tmp_path / "out").exists()
    paths = export_vllm(tight, tmp_path / "out", {}, force=True)
    assert [path.name for path in paths] == [f"start-{FIRST}.sh", "settings.env", "README.txt"]
    with pytest.raises(FileError, match="exists"):
        export_vllm(plan(), tmp_path / "out", {}, force=False)


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_the_command_line_writes_them_for_the_plans_engine_only(tmp_path, capsys, name):
    path = tmp_path / "plan.json"
    path.write_text(plan(name).model_dump_json(by_alias=True), encoding="utf-8")
    line = ["export", name, str(path), "-o", str(tmp_path / "out"), "--host", f"{FIRST}=10.0.0.11"]
    assert main(line) == 0
    env = (tmp_path / "out" / "settings.env").read_text()
    assert values(env)["HTTP_HOST"] == "10.0.0.11"
    assert main(["export", "llama.cpp", *line[2:]]) == 3
    assert f"the plan is for {name}, not for llama.cpp" in capsys.readouterr().err
