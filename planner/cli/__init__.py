"""The command line, a client of the library: parse, call, render, exit code."""

from __future__ import annotations

import difflib
import io
import os
import sys
from collections.abc import Sequence

from planner.cli import output
from planner.cli.exits import Exit
from planner.errors import FileError, PlannerError, RequestError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _run(words or ["--help"])
        sys.stdout.flush()
        return code
    except PlannerError as problem:
        return output.error(problem, as_json=as_json)
    except BrokenPipeError:
        _drop_stdout()
        return Exit.PIPE_CLOSED
    except OSError as problem:
        if problem.filename is not None:  # a file: whoever opened it has not said what for
            raise
        _drop_stdout()
        unwritten = FileError(f"cannot write the answer: {problem.strerror}", hint="use -o FILE")
        return output.error(unwritten, as_json=False)
    except KeyboardInterrupt:
        output.note("interrupted")
        return Exit.INTERRUPTED


def _drop_stdout() -> None:
    """Nobody takes stdout any more: lets the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    import typer

    from planner.cli.app import app

    command = typer.main.get_command(app)
    try:
        with command.make_context("plan", list(words)) as context:
            code = command.invoke(context)
    except typer.Exit as leave:
        return leave.exit_code
    except typer.TyperException as problem:
        raise _usage_error(problem, words, sorted(getattr(command, "commands", ()))) from problem
    return int(code or 0)


def _usage_error(problem: Exception, words: list[str], commands: list[str]) -> RequestError:
    """What typer found wrong, in our form; its own suggestions become the hint."""
    near = list(getattr(problem, "possibilities", None) or ())
    say = getattr(problem, "format_message", None) if not near else None
    message, _, suggestion = (say() if say else str(problem)).strip().partition(" Did you mean ")
    typed = difflib.get_close_matches(words[0], commands, n=1, cutoff=0.8)
    if near:
        hint = "did you mean " + " or ".join(near[:2]) + "?"
    elif suggestion:
        hint = f"did you mean {suggestion}"
    elif typed and words[0] not in commands:
        hint = f"did you mean 'plan {typed[0]}'?"
    else:
        hint = f"'{_command_path(problem, words, commands)} --help' shows how"
    return RequestError(message[:1].lower() + message[1:].rstrip("."), hint=hint)


def _command_path(problem: Exception, words: list[str], commands: list[str]) -> str:
    context = getattr(problem, "ctx", None)
    if context is not None:
        return str(context.command_path)
    if words[0].startswith("-"):
        return "plan"
    return f"plan {words[0] if words[0] in commands else 'solve'}"
