"""Programs that stand for llama.cpp's, and a way to run an exported script against them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from planner.export.llama_cpp import export_llama_cpp
from planner.plan import Plan

_LLAMA_SERVER = """\
#!/bin/sh
case "$*" in
*--list-devices*) echo "  RPC0: $2 (1 MiB, 1 MiB free)" ;;
*) printf '%s\\n' "$@" >"$RECORD/llama-server"; env >"$RECORD/environment" ;;
esac
"""
_RPC_SERVER = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$RECORD/ggml-rpc-server"
exec {sleep} 60
"""
_SLEEP = "#!/bin/sh\nexec {sleep} 0.05\n"
"""Scripts look at their servers every second; tests have less time."""


class Run:
    """One run of a start script: how it ended, and how it called the engine."""

    def __init__(self, plan: Plan, folder: Path, machine: str, **settings: str) -> None:
        """Export into `folder`, edit devices.env with `settings`, and run to the end.

        The fake llama-server ends at once, and the script with it.
        """
        self.folder = folder
        self.record = folder / "record"
        self.record.mkdir()
        (folder / "weights.gguf").touch()
        programs = {"llama-server": _LLAMA_SERVER, "rpc": _RPC_SERVER, "sleep": _SLEEP}
        for name, text in programs.items():
            program = folder / name
            program.write_text(text.replace("{sleep}", shutil.which("sleep") or "sleep"))
            program.chmod(0o755)
        defaults = {
            "LLAMA_SERVER": str(folder / "llama-server"),
            "RPC_SERVER": str(folder / "rpc"),
            "MODEL": str(folder / "weights.gguf"),
        }
        out = folder / "out"
        export_llama_cpp(plan, out, {}, force=True)
        extra = {name: settings.pop(name) for name in list(settings) if name.endswith("_EXTRA")}
        env = out / "devices.env"
        env.write_text(edited(env.read_text(), {**defaults, **settings}))
        done = subprocess.run(
            [out / f"start-{machine}.sh"],
            env={
                **os.environ,
                **extra,
                "RECORD": str(self.record),
                "PATH": f"{folder}:{os.environ['PATH']}",
            },
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.status, self.said = done.returncode, done.stderr

    def arguments(self, program: str = "llama-server") -> list[str]:
        """Arguments of the engine, or one line per start of an rpc-server."""
        return (self.record / program).read_text().splitlines()

    def environment(self) -> list[str]:
        """The engine's environment, `NAME=value`."""
        return (self.record / "environment").read_text().splitlines()


def edited(text: str, settings: Mapping[str, str]) -> str:
    """`text` of a devices.env with these values; each must be there once."""
    for name, value in settings.items():
        line = f"{name}={value}".replace("\\", r"\\")
        text, count = re.subn(rf"(?m)^{name}=.*$", line, text)
        assert count == 1, name
    return text
