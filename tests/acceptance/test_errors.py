"""What cannot be done is said once: one message, one hint, its exit code, no traceback."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main
from tests.acceptance.command_line import Ran, first_run, plan
from tests.acceptance.jobs import JOBS

MODEL = "kimi-k2 --quant Q4_K_M"
GPU = """
[[gpu]]
name = "mine"
title = "Mine"
vendor = "me"
family = "cuda"
architecture = "new"
nominal_memory = "80 GB"
usable_memory = "{usable}"
memory_bandwidth = "{bandwidth}"
source = "the box"
checked = 2026-11-25
"""
REQUESTS = {
    "kimi-k3x": (2, "unknown model 'kimi-k3x'", "kimi-k2"),
    "kimi-k2 --quant Q4KM": (2, "unknown quant 'Q4KM'", "Q4_K_M"),
    "kimi-k2 --quant FP8 --engine llama.cpp": (3, "llama.cpp cannot load FP8", "--quant Q4_K_M"),
    f"{MODEL} --budget -1": (2, "--budget", "300000"),
    f"{MODEL} --budget 0": (2, "--budget", "300000"),
    f"{MODEL} --budget 300,000": (2, "--budget", "300000"),
    f"{MODEL} --budget 300k": (2, "--budget", "300000"),
    f"{MODEL} --budget nan": (2, "--budget", "300000"),
    f"{MODEL} --budget 1e5": (2, "--budget", "300000"),
    f"{MODEL} --budget-per-hour -1": (2, "--budget-per-hour", "300000"),
    f"{MODEL} --budget 1 --budget-per-hour 1": (2, "--budget-per-hour", "one of them"),
    f"{MODEL} --context 0": (2, "--context", "32768"),
    f"{MODEL} --context -5": (2, "--context", "32768"),
    f"{MODEL} --context 10000000": (2, "--context 10000000", "131072"),
    f"{MODEL} --context 131073": (2, "--context 131073", "131072"),
    f"{MODEL} --concurrency 0": (2, "--concurrency", "8"),
    f"{MODEL} --concurrency 300": (2, "256", "replicas"),
    f"{MODEL} --concurrency 1000000000000": (2, "256", "replicas"),
    f"{MODEL} --concurrency 10000000000000000": (2, "--concurrency", "8"),
    f"{MODEL} --max-nodes 0": (2, "--max-nodes", "8"),
    f"{MODEL} --max-nodes 1000000000000": (2, "--max-nodes", "number"),
    f"{MODEL} --min-speed nan": (2, "--min-speed", "10"),
    f"{MODEL} --min-speed inf": (2, "--min-speed", "10"),
    f"{MODEL} --min-speed -1": (2, "--min-speed", "10"),
    f"{MODEL} --time-limit 0": (2, "--time-limit", "60"),
    f"{MODEL} --time-limit -1": (2, "--time-limit", "60"),
    f"{MODEL} --only nonsense": (2, "unknown node 'nonsense'", "nodes, GPUs, vendors"),
    f"{MODEL} --only mac-studio-m5u-257": (2, "mac-studio-m5u-257", "mac-studio-m5u-256"),
    f"{MODEL} --exclude nonsense": (2, "unknown node 'nonsense'", "nodes, GPUs, vendors"),
    f"{MODEL} --stock nonsense": (2, "--stock", "dgx-spark=2"),
    f"{MODEL} --stock nonsense=2": (2, "unknown node 'nonsense'", "plan nodes"),
    f"{MODEL} --stock dgx-spark=-1": (2, "--stock", "dgx-spark=2"),
    f"{MODEL} --stock dgx-spark=1.5": (2, "--stock", "dgx-spark=2"),
    f"{MODEL} --stock dgx-spark=1 --stock dgx-spark=2": (2, "twice", "dgx-spark=2"),
    f"{MODEL} --kv-type q9_0": (2, "q9_0", "q8_0"),
    f"{MODEL} --ubatch 0": (2, "--ubatch", "tokens"),
    f"{MODEL} --ubatch 100000000": (2, "--ubatch 100000000", "number"),
    f"{MODEL} --engine vllm": (3, "vLLM cannot load Q4_K_M", "--engine llama.cpp"),
    f"{MODEL} --engine tgi": (2, "unknown engine 'tgi'", "llama.cpp"),
    f"{MODEL} --engine-build b1": (2, "b1", "engines"),
    f"{MODEL} --colour red": (2, "--colour", "--help"),
    "evaluate kimi-k2 --quant Q4_K_M": (2, "--node", "dgx-spark:2"),
    "evaluate kimi-k2 --devices 8 --node dgx-spark:6": (2, "--node", "dgx-spark:2"),
    "evaluate kimi-k2 --devices 0": (2, "--devices", "8"),
    "evaluate kimi-k2 --node nonsense:1": (2, "unknown node 'nonsense'", "plan nodes"),
    "evaluate kimi-k2 --node dgx-spark": (2, "--node", "dgx-spark:2"),
    "evaluate kimi-k2 --devices 8 --split 8,8": (2, "2 numbers for 8 devices", "one number"),
    "evaluate kimi-k2 --devices 2 --split 30,30": (2, "60", "61 layers"),
    "evaluate kimi-k2 --devices 2 --split 63,-1": (2, "--split", "8,8,8,8"),
    "evaluate kimi-k2 --devices 2 --split a,b": (2, "--split", "8,8,8,8"),
    "evaluate kimi-k2 --devices 16": (1, "refuses", "fewer devices"),
    "evaluate kimi-k2 --devices 1000000000000": (1, "refuses", "fewer devices"),
    "verify no-such-file.json": (3, "no-such-file.json", "plan MODEL -o FILE"),
    "export llama.cpp no-such-file.json -o out": (3, "no-such-file.json", "plan MODEL -o FILE"),
}
HUGE = [f"{MODEL} --max-nodes 10000000", f"{MODEL} --max-nodes 15", f"{MODEL} --input 120000"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """What a command in this process prints; an exception it lets through fails the test."""
    code = main(arguments)
    printed = capsys.readouterr()
    return Ran(int(code), printed.out, printed.err)


def check_plain(ran: Ran, code: int, message: str, hint: str) -> None:
    assert ran.out == ""
    first, blank, second = ran.err.rstrip("\n").split("\n")
    assert first.startswith("error: ")
    assert message in first
    assert blank == ""
    assert second.startswith("hint: ")
    assert hint in second
    assert ran.code == code


def check_json(ran: Ran, code: int, message: str, hint: str) -> None:
    error = ran.answer
    assert set(error) == {"kind", "message", "hint"}
    assert error["kind"] == "error"
    assert message in error["message"]
    assert hint in error["hint"]
    assert "Traceback" not in ran.err
    assert ran.code == code


@pytest.mark.parametrize("line", REQUESTS)
def test_a_wrong_request(capsys: pytest.CaptureFixture[str], line: str) -> None:
    check_plain(said(capsys, *shlex.split(line)), *REQUESTS[line])
    check_json(said(capsys, *shlex.split(line), "--json"), *REQUESTS[line])


@pytest.mark.parametrize("line", ["kimi-k3x", f"{MODEL} --budget -1", f"{MODEL} --context 0"])
def test_a_wrong_request_in_a_process_of_its_own(line: str) -> None:
    check_plain(plan(line), *REQUESTS[line])
    check_json(plan(line, "--json"), *REQUESTS[line])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[gpu", ("cannot read",)),
        ("[[gpu]]\nname = 'a'\nname = 'b'\n", ("cannot read", "line 3")),
        ("[[gpus]]\nname = 'x'\n", ("unknown table 'gpus'",)),
        (GPU.format(usable="80 GX", bandwidth="1 GB/s"), ("[[gpu]] 'mine'", "usable_memory")),
        (GPU.format(usable="80", bandwidth="1 GB/s"), ("[[gpu]] 'mine'", "usable_memory")),
        (GPU.format(usable="-80 GB", bandwidth="1 GB/s"), ("[[gpu]] 'mine'", "usable_memory")),
        (GPU.format(usable="80 GB", bandwidth="1 GB"), ("[[gpu]] 'mine'", "memory_bandwidth")),
        (
            GPU.format(usable="80 GB", bandwidth="1 GB/s") + "colour = 'red'\n",
            ("[[gpu]] 'mine'", "colour"),
        ),
        ("[[price]]\nname = 'dgx-spark'\nkind = 'purchase'\nmid = -1\n", ("dgx-spark",)),
        ("[[node]]\n", ("[[node]]",)),
    ],
)
def test_a_broken_overlay(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    line = f"{MODEL} --budget 300000 --catalog {tmp_path}"
    ran = said(capsys, *shlex.split(line))
    check_plain(ran, 3, "mine.toml", "")
    for word in words:
        assert word in ran.err
    check_json(said(capsys, *shlex.split(line), "--json"), 3, "mine.toml", "")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 4096])
def test_an_overlay_that_is_no_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    ran = said(capsys, *shlex.split(f"{MODEL} --catalog {tmp_path}"))
    check_plain(ran, 3, "mine.toml", "UTF-8 TOML")


def test_an_overlay_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ran = said(capsys, *shlex.split(f"{MODEL} --catalog {tmp_path / 'nowhere'}"))
    check_plain(ran, 3, "nowhere", "--catalog")


def valid() -> dict[str, Any]:
    return first_run(JOBS["gpt-oss-120b"].line).answer


def hostile() -> dict[str, bytes]:
    """Files that are no plan of this planner."""
    text = first_run(JOBS["gpt-oss-120b"].line).out
    plan_of_layers = valid()
    plan_of_layers["devices"][0]["slots"] = "many"
    without = valid()
    del without["devices"]
    more = valid()
    more["surprise"] = 1
    return {
        "empty": b"",
        "cut off": text[: len(text) // 2].encode(),
        "zeros": b"\x00" * 100_000,
        "not text": b"\xff\xfe{}",
        "a list": b"[]",
        "a number": b"1",
        "nothing": b"null",
        "no kind": b"{}",
        "an error": b'{"kind": "error", "message": "", "hint": ""}',
        "no version": b'{"kind": "plan"}',
        "a later version": json.dumps({**valid(), "schema_version": 2}).encode(),
        "a version in words": json.dumps({**valid(), "schema_version": "1"}).encode(),
        "a kind in a list": b'{"kind": ["plan"], "schema_version": 1}',
        "nested too deeply": b"[" * 100_000 + b"]" * 100_000,
        "nested objects": b'{"kind":' * 50_000 + b"1" + b"}" * 50_000,
        "a word for a number": json.dumps(plan_of_layers).encode(),
        "a field missing": json.dumps(without).encode(),
        "a field too many": json.dumps(more).encode(),
        "a number without end": b'{"kind": "plan", "schema_version": ' + b"9" * 10_000 + b"}",
        "not a number": text.replace('"budget": "50000"', '"budget": NaN').encode(),
    }


NAMES = [
    "empty",
    "cut off",
    "zeros",
    "not text",
    "a list",
    "a number",
    "nothing",
    "no kind",
    "an error",
    "no version",
    "a later version",
    "a version in words",
    "a kind in a list",
    "nested too deeply",
    "nested objects",
    "a word for a number",
    "a field missing",
    "a field too many",
    "a number without end",
    "not a number",
]


def test_all_hostile_files_are_tried() -> None:
    assert sorted(hostile()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_no_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    path, out = tmp_path / "plan.json", tmp_path / "out"
    path.write_bytes(hostile()[name])
    check_plain(said(capsys, "verify", str(path)), 3, "plan.json", "")
    check_json(said(capsys, "verify", str(path), "--json"), 3, "plan.json", "")
    check_plain(said(capsys, "export", "llama.cpp", str(path), "-o", str(out)), 3, "plan.json", "")
    assert not out.exists()


def test_a_folder_is_no_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    check_plain(said(capsys, "verify", str(tmp_path)), 3, str(tmp_path), "plan MODEL -o FILE")


def test_a_plan_of_other_catalogs_with_unknown_nodes_is_rejected(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    text = first_run(JOBS["gpt-oss-120b"].line).out.replace("strix-halo-128", "strix-halo-129")
    path.write_text(text, "utf-8")
    ran = said(capsys, "verify", str(path))
    assert ran.code in (1, 3)
    assert "strix-halo-129" in ran.out + ran.err


def test_an_existing_file_is_never_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("mine", "utf-8")
    ran = said(capsys, *shlex.split(f"{MODEL} --budget 300000 -o {path}"))
    check_plain(ran, 3, "exists", "--force")
    assert path.read_text("utf-8") == "mine"


def test_out_of_time_is_said_with_what_was_found() -> None:
    ran = plan(f"{MODEL} --time-limit 0.00001 --json")
    assert ran.code == 4
    answer = ran.answer
    assert answer["kind"] == "plan"
    assert answer["solver"]["status"] == "feasible"
    assert answer["solver"]["bound"] < answer["solver"]["objective"]
    assert answer["solver"]["gap"] > 0
    assert any("time limit" in warning for warning in answer["warnings"])


def test_out_of_time_before_any_plan_is_an_error() -> None:
    line = f"{MODEL} --budget 27871 --only apple --time-limit 0.000001"
    check_plain(plan(line), 4, "--time-limit", "time")
    check_json(plan(line, "--json"), 4, "--time-limit", "time")


@pytest.mark.parametrize("line", HUGE)
def test_large_numbers_are_answered(line: str) -> None:
    ran = plan(line, "--json")
    assert ran.code in (0, 4), ran.err
    assert ran.answer["kind"] == "plan"
