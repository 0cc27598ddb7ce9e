"""Puts answers on stdout and everything else on stderr: JSON or blocks, errors, notes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from planner.report.blocks import Block


def answer(
    value: BaseModel, blocks: Callable[[], Iterable[Block]], *, as_json: bool, plain: bool
) -> None:
    """Prints `value` as JSON, or the blocks that show it."""
    if as_json:
        print(to_json(value))
    else:
        show(blocks(), plain=plain)


def to_json(value: BaseModel) -> str:
    """`value` in base units; the same bytes for the same value."""
    return value.model_dump_json(by_alias=True, indent=2)


def show(blocks: Iterable[Block], *, plain: bool) -> None:
    """Draws `blocks` on stdout."""
    from planner.report.terminal import print_blocks

    print_blocks(blocks, sys.stdout, plain=plain)


def show_data(data: Any) -> None:
    """Prints plain data as JSON."""
    import json

    print(json.dumps(data, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """One line on stderr."""
    print(clean(text), file=sys.stderr)


def error(problem: PlannerError, *, as_json: bool) -> int:
    """Prints `problem` (message, blank line, hint) and returns its exit code."""
    if as_json:
        import json

        fields = {"kind": "error", "message": problem.message, "hint": problem.hint}
        print(json.dumps(fields, indent=2))
        return problem.exit_code
    print(f"error: {clean(problem.message)}", file=sys.stderr)
    if problem.hint:
        print(f"\nhint: {clean(problem.hint)}", file=sys.stderr)
    return problem.exit_code


def clean(text: str) -> str:
    """`text` without characters a terminal would obey; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
