"""Runs the `console` blocks of a Markdown page and puts in what they print.

A block holds commands (`$ ...`) and their output. Output that is empty stays empty; a line
`<!-- keep: ^ | Memory | Choices 12 -->` above a block says which sections of it are shown (`^` is
the first; a number is the most lines); `...` stands for what is left out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ELLIPSIS = "..."
TIME_LIMIT = 300
"""Seconds one block may take."""
_KEEP = re.compile(r"<!-- keep: (.*) -->")
_CUT = re.compile(r"(.*?)(?: (\d+))?")
_WALL_TIME = re.compile(r"took [\d.]+ s")
_UNSTABLE = (
    (re.compile(r"\d+(\.\d+)? deterministic s"), "N deterministic s"),
    (re.compile(r"\d+ days old"), "N days old"),
    (re.compile(r"catalogs [0-9a-f]{12}"), "catalogs DIGEST"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a block and the output shown below it."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    lines: tuple[str, ...]


class WrongExit(Exception):
    """A command that failed where the page does not say so."""


def is_same(old: str, new: str) -> bool:
    """Whether two lines differ at most in what no page can hold: ages, solver seconds, digests."""
    return _stable(old) == _stable(new)


def _stable(line: str) -> str:
    for pattern, replacement in _UNSTABLE:
        line = pattern.sub(replacement, line)
    return line


def refreshed(text: str, folder: Path) -> str:
    """The page with every console block run anew, in order, in one folder."""
    lines, result, number = text.split("\n"), [], 0
    while number < len(lines):
        result.append(lines[number])
        if lines[number] == "```console":
            end = lines.index("```", number)
            keep = _KEEP.fullmatch(lines[number - 1])
            block = lines[number + 1 : end]
            result.extend(_rerun(block, folder, None if keep is None else keep[1].split(" | ")))
            number = end - 1
        number += 1
    return "\n".join(result)


def steps(block: Sequence[str]) -> Iterator[Step]:
    """The commands of a block with their output."""
    starts = [number for number, line in enumerate(block) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"a console block starts with a command, not {block[:1]}")
    for start, stop in zip(starts, [*starts[1:], len(block)], strict=True):
        yield Step(block[start][2:], tuple(block[start + 1 : stop]))


def _rerun(block: Sequence[str], folder: Path, keep: list[str] | None) -> list[str]:
    found = list(steps(block))
    result = []
    for number, (step, ran) in enumerate(zip(found, _run(found, folder), strict=True)):
        told = number + 1 < len(found) and found[number + 1].command == "echo $?"
        if ran.code and not told:
            raise WrongExit(f"exit {ran.code}: {step.command}\n" + "\n".join(ran.lines))
        result.append(f"$ {step.command}")
        if not step.shown:
            continue
        new = abridged(ran.lines, keep) if keep and step.command != "echo $?" else list(ran.lines)
        result.extend(_merged(step.shown, new))
    return result


def _merged(old: Sequence[str], new: list[str]) -> list[str]:
    """`new`, but the old line wherever only unstable parts differ."""
    if len(old) != len(new):
        return new
    return [a if is_same(a, b) else b for a, b in zip(old, new, strict=True)]


def _run(found: Sequence[Step], folder: Path) -> list[Ran]:
    """Every command in one shell, standard error with standard output."""
    with tempfile.TemporaryDirectory() as name:
        tools = Path(name)
        _write_shims(tools)
        script = "".join(
            f"{{ {step.command}\n}} > {tools}/out.{number} 2>&1\n"
            f"code=$?; echo $code > {tools}/code.{number}; (exit $code)\n"
            for number, step in enumerate(found)
        )
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("COLUMNS", "PLANNER_CATALOG") and not name.startswith("COV")
        }
        environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        subprocess.run(
            ["bash", "-c", f"{script}true"],
            cwd=folder,
            env=environment,
            check=True,
            timeout=TIME_LIMIT,
        )
        return [
            Ran(
                int((tools / f"code.{number}").read_text(encoding="utf-8")),
                _lines((tools / f"out.{number}").read_text(encoding="utf-8")),
            )
            for number in range(len(found))
        ]


def _write_shims(folder: Path) -> None:
    """`plan` and `python` of this checkout and interpreter."""
    python = shlex.quote(sys.executable)
    for name, command in (("plan", f"{python} -m planner"), ("python", python)):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        shim.chmod(0o755)


def _lines(output: str) -> tuple[str, ...]:
    lines = [line.rstrip() for line in output.rstrip("\n").split("\n")]
    return tuple(line for line in lines if not _WALL_TIME.fullmatch(line))


def abridged(lines: Sequence[str], keep: Sequence[str]) -> list[str]:
    """The wanted sections of an output, `...` in place of each run of the others."""
    wanted = {}
    for entry in keep:
        match = _CUT.fullmatch(entry)
        assert match is not None
        wanted[match[1]] = int(match[2]) if match[2] else len(lines)
    sections = [section.split("\n") for section in "\n".join(lines).strip("\n").split("\n\n")]
    parts: list[list[str]] = []
    for number, section in enumerate(sections):
        first = "^" if number == 0 and "^" in wanted else section[0]
        name = next((name for name in wanted if first.startswith(name)), None)
        if name is None:
            if not parts or parts[-1] != [ELLIPSIS]:
                parts.append([ELLIPSIS])
            continue
        most = wanted.pop(name)
        parts.append(section[:most] + ([ELLIPSIS] if len(section) > most else []))
    if wanted:
        raise ValueError(f"no section starts with {', '.join(wanted)}")
    return _joined(parts)


def _joined(parts: Sequence[list[str]]) -> list[str]:
    """Sections with blank lines between them, none around `...`, no two `...` in a row."""
    result: list[str] = []
    for part in parts:
        if part == [ELLIPSIS]:
            if not result or result[-1] != ELLIPSIS:
                result.append(ELLIPSIS)
            continue
        if result and result[-1] != ELLIPSIS:
            result.append("")
        result.extend(part)
    return result
