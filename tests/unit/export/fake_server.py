"""A program that stands for vLLM or SGLang, and a way to run an exported script with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from planner.cli.export import writer_of
from planner.plan import Plan
from tests.unit.export.fake_engine import edited

_PROGRAM = """\
#!/bin/sh
for word; do
    printf '%s\\0' "$word"
done >"$RECORD/arguments"
env -0 >"$RECORD/environment"
echo $$ >"$RECORD/process"
exit 7
"""


class Run:
    """One run of a start script: how it ended, and how it called the engine."""

    def __init__(self, plan: Plan, folder: Path, machine: str, **settings: str) -> None:
        """Export into `folder`, edit settings.env with `settings`, and run to the end.

        The engine is found on the PATH, records what it got, and ends with status 7.
        """
        record, out = folder / "record", folder / "out"
        record.mkdir()
        program = folder / plan.engine.name
        program.write_text(_PROGRAM)
        program.chmod(0o755)
        writer_of(plan.engine.name)(plan, out, {}, force=True)
        extra = {"ENGINE_EXTRA": settings.pop("ENGINE_EXTRA", "")}
        env = out / "settings.env"
        env.write_text(edited(env.read_text(), settings))
        path = f"{folder}:{os.environ['PATH']}"
        process = subprocess.Popen(
            [out / f"start-{machine}.sh"],
            env={**os.environ, **extra, "RECORD": str(record), "PATH": path},
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = process.communicate(timeout=30)[1]
        self.status, self.process, self.record = process.returncode, process.pid, record

    def words(self, name: str = "arguments") -> list[str]:
        """Arguments of the engine, word for word, or its `environment`."""
        return (self.record / name).read_text().split("\0")[:-1]

    @property
    def became_the_engine(self) -> bool:
        """Whether script and engine are one process."""
        return int((self.record / "process").read_text()) == self.process
