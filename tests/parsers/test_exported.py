"""What the exported start scripts run is taken by the engines themselves, machine by machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from planner.plan import Plan
from tests.parsers.asking import answers
from tests.parsers.checkpoint import write_checkpoint
from tests.unit.export.fake_server import Run
from tests.unit.export.serving_plans import NODE, engine, layout, plan, two

pytest.importorskip("vllm")
pytestmark = pytest.mark.engines

PLANS = {
    "vllm": (
        plan(),
        plan(degrees=layout(data_parallel=8, expert_parallel=8)),
        plan(degrees=layout(tensor_parallel=8, decode_context_parallel=8)),
        plan(degrees=layout(tensor_parallel=16), machines=two()),
        plan(degrees=layout(tensor_parallel=8, pipeline_parallel=2), machines=two()),
        plan(degrees=layout(tensor_parallel=8, data_parallel=2), machines=two()),
        plan(
            degrees=layout(data_parallel=16, expert_parallel=16, redundant_experts=32),
            machines=two(),
        ),
        plan(
            degrees=layout(tensor_parallel=4, pipeline_parallel=2, partition=(20, 41)),
            machines=two(4),
        ),
    ),
    "sglang": (
        plan("sglang", layout(tensor_parallel=8, data_parallel=8, expert_parallel=8)),
        plan("sglang", layout(tensor_parallel=8), engine=engine("sglang", kv_type="fp8")),
        plan("sglang", layout(tensor_parallel=16, data_parallel=16), machines=two()),
        plan("sglang", layout(tensor_parallel=8, pipeline_parallel=2), machines=two()),
        plan(
            "sglang",
            layout(tensor_parallel=4, pipeline_parallel=2, partition=(20, 41)),
            machines=two(4),
        ),
    ),
}


def question(answer: Plan, machine: str, folder: Path, model: Path) -> dict[str, object]:
    """Arguments and variables a start script gives its engine."""
    folder.mkdir()
    run = Run(answer, folder, machine, MODEL=str(model), ENGINE_EXTRA="--skip-tokenizer-init")
    pairs = (line.partition("=") for line in run.words("environment"))
    environment = {name: value for name, _, value in pairs if name.startswith(("VLLM_", "SGLANG_"))}
    command, *arguments = run.words()
    assert command == "serve"
    return {"arguments": arguments, "environment": environment}


@pytest.mark.parametrize("name", PLANS)
def test_the_engine_takes_what_every_machines_script_runs(name, tmp_path):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    model = write_checkpoint(tmp_path / "model", "kimi-k2")
    questions, stages = [], []
    for number, answer in enumerate(PLANS[name]):
        for place in range(len({device.node for device in answer.devices})):
            folder = tmp_path / f"{number}-{place}"
            questions.append(question(answer, f"{NODE}-{place + 1}", folder, model))
            stages.append([len(layers) for layers in layers_by_stage(answer)])
    print(f"{len(questions)} exported command lines asked of {name}")
    found = answers(name, questions)["answers"]
    assert [each["refusal"] for each in found] == [""] * len(questions)
    assert [each["stages"] for each in found] == stages


def layers_by_stage(answer: Plan) -> list[range]:
    """Layers of each stage, as the devices of a plan have them."""
    spans = {
        device.stage: range(device.first_layer or 0, (device.last_layer or 0) + 1)
        for device in answer.devices
    }
    return [spans[stage] for stage in sorted(spans)]
