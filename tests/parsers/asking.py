"""Asks an engine's package about many command lines at once, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.engines.sglang import command_line as sglang
from planner.engines.vllm import command_line as vllm
from tests.parsers.checkpoint import write_checkpoint
from tests.parsers.layouts import Case
from tests.parsers.options import Option
from tests.reality.tables import table

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
TIME_LIMIT = 900
"""Seconds; a first run inspects every network once, some seconds each, and keeps what it found."""
ADDRESS = "10.0.0.1"


def command_lines(case: Case) -> list[tuple[str, ...]]:
    """Arguments of every machine, without the model."""
    command = vllm if case.engine == "vllm" else sglang
    server = command.server_arguments(case.settings, case.layout)
    machines = case.machines
    ports = {"port": "29500"} | ({"rpc_port": "29550"} if case.engine == "vllm" else {})
    return [
        (*server, *command.node_arguments(case.layout, node, machines, address=ADDRESS, **ports))
        for node in range(len(machines))
    ]


def environment(case: Case) -> dict[str, str]:
    """Variables of every machine."""
    command = vllm if case.engine == "vllm" else sglang
    return command.environment(case.layout)


@dataclass(frozen=True)
class Verdict:
    """What an engine says of a layout."""

    refusal: str
    """Why it refuses, in its words; empty where it takes the command lines of all machines."""
    stages: tuple[int, ...]
    """Layers of each stage; none where it refuses."""


@dataclass(frozen=True)
class Said:
    """What an engine's package says: of layouts, and of its options."""

    verdicts: dict[Case, Verdict]
    options: list[Option]

    @property
    def refused(self) -> tuple[Case, ...]:
        """What it does not take."""
        return tuple(case for case, verdict in self.verdicts.items() if verdict.refusal)


def ask(cases: Sequence[Case], folder: Path) -> Said:
    """Every case's command lines, of all machines, before its engine."""
    engine = cases[0].engine
    models = {
        model: str(write_checkpoint(folder / str(number), model))
        for number, model in enumerate(dict.fromkeys(case.model for case in cases))
    }
    start = ["--skip-tokenizer-init", *(("--model-path",) if engine == "sglang" else ())]
    lines = [
        (case, [*start, models[case.model], *line])
        for case in cases
        for line in command_lines(case)
    ]
    told = answers(
        engine,
        [{"arguments": line, "environment": environment(case)} for case, line in lines],
    )
    found: dict[Case, Verdict] = {}
    for (case, _), answer in zip(lines, told["answers"], strict=True):
        if case not in found or not found[case].refusal:
            found[case] = Verdict(answer["refusal"], tuple(answer["stages"]))
    return Said(found, told["options"])


def answers(engine: str, questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the process for an engine prints about command lines and their variables."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.parsers.ask_{engine}"],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **QUIET},
        timeout=TIME_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def option_rows(name: str) -> list[Option]:
    """The same of the table in `tests/reality`."""
    keys = ("flags", "values", "choices")
    rows = ({key: row[key] for key in keys} for row in table(f"{name}_flags.csv"))
    return [{**row, "choices": " ".join(sorted(row["choices"].split()))} for row in rows]
