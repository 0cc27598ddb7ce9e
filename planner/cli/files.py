"""Reads plans from files and writes new files, never over old ones unless told to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import FileError

if TYPE_CHECKING:
    from planner.plan import Plan


def read_plan(path: Path) -> Plan:
    """The plan in `path`, `-` being stdin.

    Raises:
        FileError: it cannot be read, is not UTF-8 JSON, or is not a plan of this version.
    """
    from pydantic import ValidationError

    from planner.plan import SCHEMA_VERSION, Plan

    content = _read(path)
    kind, version = _kind_and_version(path, content)
    if kind != "plan":
        raise FileError(f"{path} holds no plan but '{kind}'", hint=_HINT)
    if version != SCHEMA_VERSION:
        raise FileError(
            f"{path} has schema version {version!r}; this planner reads {SCHEMA_VERSION}",
            hint="make the plan again with this planner",
        )
    try:
        return Plan.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FileError(f"{path} is no plan: {where}: {first['msg']}", hint=_HINT) from error


_HINT = "a plan is what 'plan MODEL -o FILE' or 'plan MODEL --json' writes"


def _read(path: Path) -> str:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text", hint=_HINT) from error


def _kind_and_version(path: Path, content: str) -> tuple[object, object]:
    import json

    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply"
        if isinstance(error, json.JSONDecodeError):
            reason = f"line {error.lineno}: {error.msg}"
        elif isinstance(error, ValueError):
            reason = "a number in it is too long"
        raise FileError(f"{path} is not JSON: {reason}", hint=_HINT) from error
    if not isinstance(parsed, dict):
        raise FileError(f"{path} is no plan: not a JSON object", hint=_HINT)
    return parsed.get("kind", "something else"), parsed.get("schema_version")


def check_new(path: Path, *, force: bool) -> None:
    """Refuses at once what could not be written once the work is done.

    Raises:
        FileError: `path` exists and `force` is not given, or its folder does not exist.
    """
    if path.is_dir():
        raise FileError(f"{path} is a folder", hint="-o takes the name of a file")
    if path.exists() and not force:
        raise FileError(f"{path} exists", hint="choose another name, or add --force")
    if not path.absolute().parent.is_dir():
        raise FileError(f"no folder {path.parent}", hint="make it first, or choose another name")


def write_new(path: Path, content: str, *, force: bool) -> None:
    """Writes `content` to `path` as UTF-8, over an old file only with `force`.

    Raises:
        FileError: it cannot be written.
    """
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(content)
    except OSError as error:
        raise FileError(
            f"cannot write {path}: {error.strerror}", hint="choose another name for -o"
        ) from error
