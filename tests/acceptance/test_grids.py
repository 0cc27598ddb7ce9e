"""vLLM and SGLang through the command line: known answers, remedies that hold, refusals.

The known answers are those of public logs and of the engines' own rules; what the figures stand on
is in `tests/reality`.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main
from tests.acceptance.command_line import plan as in_a_process

Printed = pytest.CaptureFixture[str]
KIMI = "evaluate kimi-k2 --quant FP8"
ONE_H200 = f"{KIMI} --node hgx-h200-8:1"


def ask(capsys: Printed, line: str) -> tuple[int, dict[str, Any]]:
    """`plan LINE --json`: the exit code and the answer."""
    code = main([*shlex.split(line), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return int(code), answer


def least_room(answer: dict[str, Any]) -> int:
    """Bytes left on the tightest device that holds something, overheads at their upper ends."""
    return min(device["headroom_bytes"] for device in answer["devices"] if device["slots"])


VERDICTS = {
    f"{KIMI} --node hgx-h100-8:1 --tp 8": {"no"},
    f"{KIMI} --node hgx-h100-8:1 --tp 8 --context 1024": {"no"},
    f"{ONE_H200} --tp 8": {"no", "tight"},
    f"{ONE_H200} --tp 8 --context 8192": {"no", "tight"},
    f"{KIMI} --node hgx-h100-8:2 --tp 16 --context 131072": {"no"},
    f"{KIMI} --node hgx-h100-8:2 --tp 16 --context 32768": {"fits"},
    f"{KIMI} --node hgx-h200-8:2 --tp 16 --context 131072": {"fits"},
    "evaluate kimi-k2.5 --engine vllm --node hgx-h100-8:1 --tp 8": {"no"},
    "evaluate deepseek-r1 --quant FP8 --node hgx-h200-8:1 --tp 8": {"fits"},
    "evaluate deepseek-r1 --quant FP8 --node hgx-h100-8:1 --tp 8": {"no"},
    "evaluate deepseek-r1 --quant FP8 --node hgx-h100-8:1 --tp 8 --context 8192": {"no"},
    "evaluate qwen3-235b-a22b --quant FP8 --node hgx-h100-8:1 --tp 4": {"fits"},
    "evaluate qwen3-235b-a22b --quant FP8 --node hgx-h100-8:1 --tp 8 --ep 8": {"fits"},
    "evaluate kimi-k2 --quant FP8 --engine sglang --node hgx-h200-8:1 --tp 8": {"no", "tight"},
    "evaluate deepseek-r1 --quant FP8 --engine sglang --node hgx-h200-8:1 --tp 8": {"fits"},
    "evaluate deepseek-r1 --quant FP8 --engine sglang --node hgx-h100-8:1 --tp 8": {"no"},
}


@pytest.mark.parametrize("line", VERDICTS)
def test_known_answers(capsys: Printed, line: str) -> None:
    code, answer = ask(capsys, line)
    assert answer["verdict"] in VERDICTS[line]
    assert code == (answer["verdict"] == "no")
    assert answer["verdict"] == "fits" or answer["remedies"]
    assert answer["verdict"] != "fits" or least_room(answer) >= 0


def test_kimi_k2_5_on_one_h100_node_is_told_the_context_that_works(
    capsys: Printed,
) -> None:
    line = "evaluate kimi-k2.5 --engine vllm --node hgx-h100-8:1 --tp 8"
    code, answer = ask(capsys, line)
    assert (code, answer["verdict"], answer["engine"]["context"]) == (1, "no", 262_144)
    found = [entry for entry in answer["remedies"] if "--context" in (entry["option"] or "")]
    assert found
    for remedy in found:
        then, changed = ask(capsys, f"{line} {remedy['option']}")
        assert (then, changed["verdict"]) == (0, remedy["verdict"])
        assert changed["verdict"] != "no"
        longer = changed["engine"]["context"] + 1024
        assert least_room(ask(capsys, f"{line} {remedy['option']} --context {longer}")[1]) < 0


def test_fp8_experts_that_do_not_divide_by_a_block_are_illegal_and_say_so() -> None:
    done = in_a_process("evaluate qwen3-235b-a22b --quant FP8 --node hgx-h100-8:1 --tp 8")
    assert (done.code, done.out) == (1, "")
    assert "192 columns" in done.err
    assert "block of 128" in done.err
    assert "hint: legal on these devices: --tp 8 --ep 8" in done.err


def test_61_layers_over_four_stages_put_the_odd_one_in_the_third(
    capsys: Printed,
) -> None:
    _, answer = ask(capsys, f"{KIMI} --node hgx-h200-8:4 --tp 8 --pp 4")
    assert answer["layout"]["partition"] == [15, 15, 16, 15]
    layers = {
        device["stage"]: (device["first_layer"], device["last_layer"])
        for device in answer["devices"]
    }
    assert layers == {0: (0, 14), 1: (15, 29), 2: (30, 45), 3: (46, 60)}


@pytest.mark.parametrize(("option", "logged"), [("", 715_072), ("--dcp 8", 5_721_088)])
def test_k2_thinking_has_the_pool_of_its_log(capsys: Printed, option: str, logged: int) -> None:
    """The log names neither version nor utilization: of its time, and that version's default."""
    line = "evaluate kimi-k2-thinking --engine vllm --node hgx-h200-8:1 --tp 8"
    _, answer = ask(capsys, f"{line} --engine-build 0.11.0 {option}")
    tokens = answer["kv_pool"]["tokens"]
    assert tokens["low"] <= logged <= tokens["high"]
    assert tokens["best"] == pytest.approx(logged, rel=0.005)


SHORT = (
    f"{ONE_H200} --tp 8",
    f"{KIMI} --node hgx-h100-8:2 --tp 16 --ep 16",
    f"{KIMI} --node hgx-h100-8:2 --tp 8 --pp 2 --split 30,31",
    "evaluate kimi-k2.5 --engine vllm --node hgx-h100-8:1 --tp 8 --max-num-seqs 3000",
    "evaluate deepseek-r1 --quant FP8 --engine sglang --node hgx-h100-8:1 --tp 8 --dp 8 --ep 8",
    "evaluate llama-3.3-70b --quant BF16 --engine vllm --node hgx-h100-8:1 --tp 2 "
    "--utilization 0.97 --max-num-batched-tokens 3000",
    "evaluate deepseek-r1 --quant FP8 --node hgx-h100-8:1 --node hgx-h100-4:1 --tp 4 --pp 2",
)


def with_option(line: str, option: str) -> str:
    """A command with the options of a remedy; nodes replace the nodes."""
    if "--node" in option:
        line = re.sub(r" --node \S+", "", line)
    return f"{line} {option}"


@pytest.mark.parametrize("line", SHORT)
def test_every_remedy_gives_the_verdict_and_the_room_it_promises(
    capsys: Printed, line: str
) -> None:
    _, answer = ask(capsys, line)
    remedies = [entry for entry in answer["remedies"] if entry["option"]]
    assert answer["verdict"] != "fits"
    assert len(remedies) >= 3
    for remedy in remedies:
        code, then = ask(capsys, with_option(line, remedy["option"]))
        assert then["verdict"] == remedy["verdict"], remedy
        assert code == (remedy["verdict"] == "no")
        assert least_room(then) == remedy["headroom_bytes"], remedy


SOLVED = "kimi-k2 --quant FP8 --context 131072"


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_plan_is_solved_verified_and_exported(
    tmp_path: Path, capsys: Printed, engine: str
) -> None:
    kept = tmp_path / "plan.json"
    assert main([*SOLVED.split(), "--engine", engine, "-o", str(kept)]) == 0
    answer = json.loads(kept.read_text())
    assert answer["engine"]["name"] == engine
    assert answer["solver"]["status"] == "optimal"
    assert answer["kv_pool"]["longest"]["low"] >= 131_072
    assert main(["verify", str(kept)]) == 0
    assert main(["export", engine, str(kept), "-o", str(tmp_path / "launch")]) == 0
    scripts = sorted((tmp_path / "launch").glob("start-*.sh"))
    assert len(scripts) == sum(entry["count"] * entry["machines"] for entry in answer["cluster"])
    limit = {"vllm": "--max-model-len", "sglang": "--context-length"}[engine]
    for script in scripts:
        assert f"{limit} 131072" in re.sub(r"\s+", " ", script.read_text().replace("\\\n", " "))
    capsys.readouterr()
    for other in {"llama.cpp", "vllm", "sglang"} - {engine}:
        assert main(["export", other, str(kept), "-o", str(tmp_path / "other")]) == 3
        printed = capsys.readouterr().err
        assert f"the plan is for {engine}, not for {other}" in printed
        assert f"plan export {engine}" in printed
    assert not (tmp_path / "other").exists()


def test_engine_auto_takes_the_best_of_those_that_load_the_format(
    capsys: Printed,
) -> None:
    line = "qwen3-32b --quant FP8 --context 32768"
    costs = {}
    for engine in ("vllm", "sglang"):
        code, answer = ask(capsys, f"{line} --engine {engine}")
        assert code == 0
        costs[engine] = answer["cost"]["purchase_usd"]
    code, best = ask(capsys, f"{line} --engine auto")
    assert code == 0
    assert best["cost"]["purchase_usd"] == min(costs.values())
    assert costs[best["engine"]["name"]] == min(costs.values())


@pytest.mark.parametrize(
    ("quant", "engine"), [("AWQ", "vllm"), ("NVFP4", "vllm"), ("INT4-W4A16-g32", "sglang")]
)
def test_formats_of_groups_are_solved_though_three_devices_cannot_share_them(
    capsys: Printed, quant: str, engine: str
) -> None:
    """Nodes with 3 or 6 devices are in the catalogs: a rank's share would be part of a group."""
    line = f"qwen3-32b --quant {quant} --engine {engine} --context 16384 --budget 60000"
    code, answer = ask(capsys, line)
    assert (code, answer["solver"]["status"]) == (0, "optimal")
    assert 64 % answer["layout"]["tensor_parallel"] == 0


REFUSED = {
    f"{ONE_H200} --tp 0": (2, "--tp: must be more than 0"),
    f"{ONE_H200} --tp 7": (1, "64 heads do not divide by 7"),
    f"{ONE_H200} --tp 16": (2, "the layout takes 16 devices; 1 machine has 8"),
    f"{ONE_H200} --tp 8 --ep 3": (1, "over all 8 ranks of a stage or over none, not over 3"),
    f"{ONE_H200} --tp 8 --dp 3": (2, "the layout takes 24 devices"),
    f"{ONE_H200} --tp 8 --dcp 5": (1, "context parallelism of 5 does not divide 8"),
    f"{ONE_H200} --tp 8 --pp 0": (2, "--pp: must be more than 0"),
    f"{ONE_H200} --tp 8 --redundant-experts 3": (1, "redundant experts need expert parallelism"),
    f"{ONE_H200} --utilization 1.5": (2, "--utilization: 1.5 is more than the whole device"),
    f"{ONE_H200} --utilization 0": (2, "--utilization: must be more than 0"),
    f"{ONE_H200} --kv-type q8_0": (3, "vLLM has no K/V type q8_0"),
    f"{ONE_H200} --ubatch 64": (2, "--ubatch: vLLM has no such setting"),
    f"{ONE_H200} --flash-attention off": (2, "--flash-attention: vLLM has no such setting"),
    f"{ONE_H200} --swa-full": (2, "--swa-full: vLLM has no such setting"),
    f"{ONE_H200} --split 1,2 --pp 4 --tp 2": (1, "the partition names 2 stages, not 4"),
    f"{ONE_H200} --split 30,32 --pp 2 --tp 4": (1, "the partition's layers are 62 in all, not 61"),
    f"{ONE_H200} --engine-build 0.1": (3, "no rules for vLLM 0.1"),
    f"{ONE_H200} --engine-build abc": (3, "'abc' is no version of an engine"),
    f"{ONE_H200} --engine-build b11434": (3, "b11434 is a build of llama.cpp, not of vLLM"),
    f"{ONE_H200} --context 131073": (1, "longer than the model's window of 131072"),
    f"{ONE_H200} --context 999999999999": (2, "--context 999999999999: out of range"),
    f"{ONE_H200} --slots 99999999999": (2, "--slots 99999999999: out of range"),
    f"{ONE_H200} --max-num-seqs 1000000000": (2, "--max-num-seqs 1000000000: a step has 8192"),
    f"{ONE_H200} --max-num-seqs 99999999999": (2, "--max-num-seqs 99999999999: out of range"),
    f"{ONE_H200} --engine auto": (2, "unknown engine 'auto'"),
    f"{KIMI} --devices 8": (2, "--devices 8: vLLM fills its devices"),
    f"{KIMI} --node mac-studio-m5u-256:4": (1, "not for 'metal'"),
    f"{KIMI} --node dgx-h100:1 --engine llama.cpp": (3, "llama.cpp cannot load FP8"),
    "evaluate kimi-k2 --quant Q4_K_M --node dgx-h100:1 --engine vllm": (3, "cannot load Q4_K_M"),
    "evaluate kimi-k2 --quant Q4_K_M --node dgx-h100:1 --kv-type fp8": (
        *(3, "llama.cpp has no K/V type fp8"),
    ),
    "evaluate kimi-k2 --quant Q4_K_M --node dgx-h100:1 --tp 8 --dcp 2": (
        *(2, "--tp, --dcp: llama.cpp splits layers"),
    ),
    "evaluate kimi-k2 --quant Q4_K_M --node dgx-h100:1 --engine-build 0.32.0": (
        *(3, "0.32.0 is a build of vllm, not of llama.cpp"),
    ),
    "evaluate minimax-text-01 --quant BF16 --engine vllm --node hgx-h200-8:2": (
        *(3, "does not serve networks of type 'minimax'"),
    ),
    "evaluate deepseek-v4-pro --engine vllm --node hgx-h200-8:2 --tp 8 --pp 2": (
        *(3, "no rules for the pages of compressed attention"),
    ),
    "evaluate qwen3-8b --quant MLX-4bit --engine vllm --node hgx-h100-8:1": (
        *(1, "loads no MLX-4bit checkpoints"),
    ),
    "evaluate qwen3-8b --quant BF16 --engine sglang --node hgx-h100-8:1 --tp 8 --dcp 8": (
        *(1, "decode context parallelism in SGLang is not planned"),
    ),
    "kimi-k2 --quant FP8 --ubatch 256": (2, "--ubatch: vLLM has no such setting"),
    "kimi-k2 --quant FP8 --kv-type q8_0": (3, "vLLM has no K/V type q8_0"),
    "kimi-k2 --quant FP8 --engine-build abc": (3, "'abc' is no version of an engine"),
    "kimi-k2 --quant FP8 --engine llama.cpp": (3, "llama.cpp cannot load FP8"),
    "deepseek-v4-pro --engine vllm": (3, "no rules for the pages of compressed attention"),
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_gets_one_message_and_its_exit_code(line: str, capsys: Printed) -> None:
    code, message = REFUSED[line]
    assert main(shlex.split(line)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert printed.err.count("error: ") == 1
    assert printed.err.count("hint: ") == 1


HINTS = {
    f"{ONE_H200} --context 131073": "leave --context out for the full window, or give at most 13",
    f"{ONE_H200} --kv-type fp8_ds_mla": "leave --kv-type out for 16 bits",
    f"{ONE_H200} --split 30,32 --pp 2 --tp 4": "--tp 8 --pp 1, without --split",
    f"{ONE_H200} --tp 8 --redundant-experts 3": "--tp 8 --redundant-experts 0",
    f"{KIMI} --node hgx-h100-8:1 --node mi300x-8:1 --tp 8 --pp 2": "nodes of one device family",
    f"{KIMI} --node hgx-h100-8:1 --node hgx-h200-8:1 --tp 16": "--tp 8 --pp 2",
    f"{KIMI} --node v100-pcie-32-x8:1": "take other nodes or another --quant",
}


@pytest.mark.parametrize("line", HINTS)
def test_a_refused_layout_is_told_what_is_legal(line: str, capsys: Printed) -> None:
    assert main(shlex.split(line)) == 1
    assert HINTS[line] in capsys.readouterr().err.partition("hint: ")[2]


def test_a_version_beyond_those_that_were_read_says_so(capsys: Printed) -> None:
    line = "evaluate qwen3-32b --quant FP8 --node hgx-h100-8:1"
    _, known = ask(capsys, line)
    _, unknown = ask(capsys, f"{line} --engine-build 99.0")
    said = "vLLM 99.0: the rules of 0.32.0, the newest that were read"
    assert set(unknown["assumptions"]) - set(known["assumptions"]) == {said}


def test_an_encoder_is_not_served(tmp_path: Path, capsys: Printed) -> None:
    config = tmp_path / "config.json"
    sizes = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    sizes |= {"intermediate_size": 3072, "vocab_size": 30522, "max_position_embeddings": 512}
    config.write_text(
        json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"], **sizes})
    )
    line = f"evaluate {config} --quant BF16 --engine vllm --node hgx-h100-8:1"
    assert main(line.split()) == 3
    assert "writes no text" in capsys.readouterr().err
