"""Commands from the outside: what they print, where, and how they exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest

import planner.export.llama_cpp
import planner.services.evaluate
import planner.solver
import planner.verify
from planner import __version__
from planner.cli import main
from planner.errors import CatalogError
from planner.plan import Plan
from planner.request import EvaluateRequest, NodeCount, PlanRequest, Stock
from tests.unit.report import example


@pytest.fixture
def solved(monkeypatch):
    """Puts a ready answer in the solver's place; what it was asked is in `asked`."""

    class Solved:
        def __init__(self):
            self.answer = example.plan()
            self.asked = []

        def __call__(self, request, catalog, progress=None):
            if progress is not None:
                progress("looking")
            self.asked.append(request)
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

    stand_in = Solved()
    monkeypatch.setattr(planner.solver, "solve", stand_in, raising=False)
    return stand_in


def one_error(capsys, *arguments):
    """Runs a command that must fail; its exit code, message and hint, said once, no traceback."""
    code = main(arguments)
    printed = capsys.readouterr()
    assert printed.out == ""
    message, blank, hint = printed.err.rstrip("\n").split("\n")
    assert message.startswith("error: ")
    assert blank == ""
    assert hint.startswith("hint: ")
    return code, message.removeprefix("error: "), hint.removeprefix("hint: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        ("kimi-k2 --budget -1", 2, "--budget: not an amount of US dollars: '-1'", "300000"),
        ("kimi-k2 --context 0", 2, "--context: must be more than 0", "--context 32768"),
        ("kimi-k2 --context 128k", 2, "--context: not a number of tokens: '128k'", "32768"),
        ("kimi-k2 --budgt 1", 2, "no such option: --budgt", "did you mean --budget"),
        ("kimi-k2 --budget", 2, "option '--budget' requires an argument", "plan solve --help"),
        ("kimi-k2 surplus", 2, "got unexpected extra argument(s) (surplus)", "plan solve --help"),
        ("solve", 2, "missing argument 'MODEL'", "'plan solve --help' shows how"),
        (
            "evalute kimi-k2 x",
            2,
            "got unexpected extra argument(s) (kimi-k2 x)",
            "did you mean 'plan evaluate'?",
        ),
        ("catalog chek", 2, "no such command 'chek'", "did you mean 'check'"),
        ("catalog", 2, "missing command", "'plan catalog --help' shows how"),
        (
            "kimi-k2 --budget 1 --budget-per-hour 1",
            2,
            "--budget and --budget-per-hour together",
            "give one of them",
        ),
        ("kimi-k2 --engine tgi", 2, "unknown engine 'tgi'", "--engine takes auto, llama.cpp, vllm"),
        (
            "evaluate kimi-k2 --devices 8 --engine auto",
            2,
            "unknown engine 'auto'",
            "--engine takes llama.cpp, vllm, sglang",
        ),
        (
            "evaluate kimi-k2 --node a:1 --utilization 1.5",
            2,
            "--utilization: 1.5 is more than the whole device",
            "--utilization 0.92",
        ),
        (
            "evaluate kimi-k2 --node a:1 --redundant-experts -1",
            2,
            "--redundant-experts: not a count: '-1'",
            "--redundant-experts 8",
        ),
        ("kimi-k2 --kv-type q8", 2, "unknown K/V type 'q8'", "did you mean 'q8_0'?"),
        ("kimi-k2 --stock dgx-spark", 2, "--stock: not NODE=N: 'dgx-spark'", "dgx-spark=2"),
        ("evaluate kimi-k2", 2, "give either --node or --devices", "--devices 8"),
        (
            "evaluate kimi-k2 --devices 8 --node dgx-spark:2",
            2,
            "give either --node or --devices",
            "--devices 8",
        ),
        (
            "evaluate kimi-k2 --devices 8 --split 8,x",
            2,
            "--split: not a list of counts: '8,x'",
            "8,8,8,8",
        ),
        (
            "export tensorrt plan.json -o out",
            2,
            "unknown target 'tensorrt'",
            "targets are llama.cpp, vllm, sglang",
        ),
        ("gpus show rtx-5090-33", 2, "unknown gpu 'rtx-5090-33'", "did you mean 'rtx-5090-32'"),
        ("gpus --catalog /no/such/folder", 3, "no catalog files at /no/such/folder", "--catalog"),
        ("requirements kimi-k2 --method best", 2, "unknown method 'best'", "true, nominal"),
        ("--jsn", 2, "no such option: --jsn", "'plan --help' shows how"),
    ],
)
def test_a_wrong_command_line_gets_one_message_and_a_hint(
    capsys, solved, arguments, code, message, hint
):
    found = one_error(capsys, *arguments.split())
    assert found[:2] == (code, message)
    assert hint in found[2]
    assert solved.asked == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("kimi-k2 --json --budget -1", 2), ("--json", 2), ("verify /no/such.json --json", 3)],
)
def test_with_json_an_error_is_json_on_stdout(capsys, arguments, code):
    assert main(arguments.split()) == code
    printed = capsys.readouterr()
    assert printed.err == ""
    found = json.loads(printed.out)
    assert found["kind"] == "error"
    assert set(found) == {"kind", "message", "hint"}
    assert found["message"]
    assert found["hint"]


def test_an_error_never_writes_what_a_terminal_would_obey(capsys):
    code, message, _ = one_error(capsys, "gpus", "show", "x\x1b[31m\u202ex")
    assert code == 2
    assert message == "unknown gpu 'x\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}x'"


def test_a_model_is_solved_for_without_the_word_solve(capsys, solved):
    assert main(["kimi-k2", "--quant", "Q4_K_M"]) == 0
    assert main(["solve", "kimi-k2", "--quant", "Q4_K_M"]) == 0
    assert solved.asked[0] == solved.asked[1] == PlanRequest(model="kimi-k2", quant="Q4_K_M")


def test_every_option_reaches_the_request(solved):
    line = (
        "kimi-k2 --quant Q4_K_M --engine llama.cpp --engine-build b10434 --context 4096 "
        "--concurrency 2 --budget-per-hour 7.5 --min-speed 0 --input 100 --output 50 "
        "--kv-type q8_0 --ubatch 256 --stock a=1 --stock b=0 --only x,y --only z --exclude w "
        "--used --mixed-families --max-nodes 2 --time-limit 5"
    )
    assert main(line.split()) == 0
    assert solved.asked == [
        PlanRequest(
            model="kimi-k2",
            quant="Q4_K_M",
            engine="llama.cpp",
            engine_build="b10434",
            context=4096,
            concurrency=2,
            budget_per_hour=Decimal("7.5"),
            min_speed=0,
            input_tokens=100,
            output_tokens=50,
            kv_type="q8_0",
            ubatch=256,
            stock=(Stock(node="a", count=1), Stock(node="b", count=0)),
            only=("x", "y", "z"),
            exclude=("w",),
            used=True,
            mixed_families=True,
            max_nodes=2,
            time_limit=5,
        )
    ]


def test_the_answer_is_on_stdout_and_the_rest_on_stderr(capsys, solved):
    assert main(["kimi-k2"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].startswith("Cheapest: 2x rtx-pro-6000-server-x4, $129,800")
    assert "took" in printed.err
    assert "took" not in printed.out


def test_json_is_the_outcome_and_the_same_bytes_twice(capsys, solved):
    assert main(["kimi-k2", "--json"]) == 0
    first = capsys.readouterr().out
    assert main(["kimi-k2", "--json"]) == 0
    assert capsys.readouterr().out == first
    assert Plan.model_validate_json(first) == solved.answer


def test_no_plan_is_exit_one_with_json_keys_as_documented(capsys, solved):
    solved.answer = example.infeasible()
    assert main(["kimi-k2", "--budget", "5000"]) == 1
    assert "No plan exists within these limits" in capsys.readouterr().out
    assert main(["kimi-k2", "--budget", "5000", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "infeasible"
    assert set(found["relaxations"][0]) == {"change", "from", "to", "cost_usd", "command"}


def test_a_time_limit_reached_is_exit_four_with_the_plan(capsys, solved):
    solver = example.CHEAPEST.solver.model_copy(update={"status": "feasible", "gap": 0.1})
    solved.answer = example.plan(solver=solver)
    assert main(["kimi-k2"]) == 4
    assert "Best found so far" in capsys.readouterr().out


def test_an_answer_is_written_once_and_over_nothing(capsys, solved, tmp_path):
    path = tmp_path / "plan.json"
    assert main(["kimi-k2", "-o", str(path)]) == 0
    assert Plan.model_validate_json(path.read_text(encoding="utf-8")) == solved.answer
    path.write_text("mine", encoding="utf-8")
    capsys.readouterr()
    asked = len(solved.asked)
    code, message, hint = one_error(capsys, "kimi-k2", "-o", str(path))
    assert (code, message) == (3, f"{path} exists")
    assert "--force" in hint
    assert path.read_text(encoding="utf-8") == "mine"
    assert len(solved.asked) == asked, "refused before the work, not after"
    assert main(["kimi-k2", "-o", str(path), "--force"]) == 0
    assert path.read_text(encoding="utf-8").startswith("{")


@pytest.mark.parametrize("name", [".", "no/such/plan.json"])
def test_a_place_that_cannot_be_written_is_refused_at_once(capsys, solved, tmp_path, name):
    assert one_error(capsys, "kimi-k2", "-o", str(tmp_path / name))[0] == 3
    assert solved.asked == []


def test_a_bug_keeps_its_traceback(solved):
    solved.answer = AssertionError("broken invariant")
    with pytest.raises(AssertionError, match="broken invariant"):
        main(["kimi-k2"])


def test_errors_of_the_library_keep_their_exit_code(capsys, solved):
    solved.answer = CatalogError("broken row", hint="mend it")
    assert one_error(capsys, "kimi-k2") == (3, "broken row", "mend it")


def test_control_c_is_exit_130(capsys, solved):
    solved.answer = KeyboardInterrupt()
    assert main(["kimi-k2"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(("verdict", "code"), [("fits", 0), ("tight", 0), ("no", 1)])
def test_evaluate_exits_by_its_verdict_and_passes_every_option(capsys, monkeypatch, verdict, code):
    asked = []

    def evaluate(request, catalog):
        asked.append(request)
        return example.evaluation(verdict=verdict)

    monkeypatch.setattr(planner.services.evaluate, "evaluate", evaluate)
    line = (
        "evaluate kimi-k2 --quant Q4_K_M --engine-build b10434 --node a:2 --node b:1 "
        "--split 31,0,31 -c 4096 --slots 2 --kv-type q8_0 --ubatch 256 --flash-attention off "
        "--swa-full --engine vllm --tp 4 --pp 2 --dp 3 --ep 12 --dcp 5 --redundant-experts 6 "
        "--utilization 0.8 --max-num-batched-tokens 700 --max-num-seqs 9 --json"
    )
    assert main(line.split()) == code
    assert json.loads(capsys.readouterr().out)["verdict"] == verdict
    assert asked == [
        EvaluateRequest(
            model="kimi-k2",
            quant="Q4_K_M",
            engine_build="b10434",
            nodes=(NodeCount(node="a", count=2), NodeCount(node="b", count=1)),
            split=(31, 0, 31),
            context=4096,
            slots=2,
            kv_type="q8_0",
            ubatch=256,
            flash_attention=False,
            swa_full=True,
            engine="vllm",
            tensor_parallel=4,
            pipeline_parallel=2,
            data_parallel=3,
            expert_parallel=12,
            decode_context_parallel=5,
            redundant_experts=6,
            utilization=0.8,
            max_num_batched_tokens=700,
            max_num_seqs=9,
        )
    ]


@pytest.mark.parametrize(("violations", "code"), [((), 0), (("layer 5 is placed twice",), 1)])
def test_verify_exits_by_what_it_finds(capsys, monkeypatch, tmp_path, violations, code):
    path = tmp_path / "plan.json"
    path.write_text(example.plan().model_dump_json(by_alias=True), encoding="utf-8")
    monkeypatch.setattr(planner.verify, "verify", lambda plan, catalog: violations)
    assert main(["verify", str(path), "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["agrees"] == (not violations)
    assert found["violations"] == list(violations)
    assert main(["verify", str(path)]) == code
    assert all(text in capsys.readouterr().out for text in violations)


def test_export_lists_the_files_it_wrote(capsys, monkeypatch, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(example.plan().model_dump_json(by_alias=True), encoding="utf-8")
    asked = []

    def export(plan, directory, hosts, *, force):
        asked.append((plan, directory, hosts, force))
        return (directory / "start.sh",)

    monkeypatch.setattr(planner.export.llama_cpp, "export_llama_cpp", export)
    line = ["export", "llama.cpp", str(path), "-o", str(tmp_path / "out"), "--host", "a=10.0.0.1"]
    assert main([*line, "--json"]) == 0
    assert asked == [(example.plan(), tmp_path / "out", {"a": "10.0.0.1"}, False)]
    assert json.loads(capsys.readouterr().out)["files"] == [str(tmp_path / "out" / "start.sh")]


def test_help_and_version(capsys):
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        for word in ("MODEL | COMMAND", "evaluate", "plan kimi-k2 --quant Q4_K_M", "Exit codes"):
            assert word in printed
    assert main(["kimi-k2", "--help"]) == 0
    assert "--budget-per-hour" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"planner {__version__}\n"


def test_a_reader_that_goes_away_is_no_error():
    """Exit 141 and silence, whatever is still to be printed."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "planner", "gpus"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
