"""Reference tables of the pages in this folder, made from the code they describe."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import typer
from pydantic.fields import FieldInfo

from planner import plan
from planner.catalog import schema
from planner.catalog.load import TABLES, load_catalog
from planner.cli import tables
from planner.cli.app import app
from planner.cli.exits import Exit
from planner.report.findings import CheckReport
from planner.report.verification import Verification
from planner.services.facts_values import Facts
from planner.services.requirements_values import Requirements
from planner.values import Value

_UNITS = {"Size": "size, bytes", "Share": "size, bytes", "Rate": "rate, bytes/s"}
_PLAIN = {"NoneType": "null", "str": "text", "int": "integer", "float": "number", "bool": "boolean"}
_PLAIN |= {"Decimal": "decimal", "date": "date", "Any": "any"}
PARTS = (schema.MemorySetting, schema.Part, schema.Repository, schema.RankTimes)
"""Values inside catalog rows."""
ANSWERS = (
    plan.Plan,
    plan.Infeasible,
    plan.Evaluation,
    Requirements,
    Facts,
    Verification,
    CheckReport,
)
"""What commands print with `--json`, in the order of the page."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines.extend([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def commands() -> str:
    """Every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(_command(path, command) for path, command in _walk("plan", group))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command, the look-up commands apart."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        if name not in tables.SUMMARIES:
            yield from _walk(f"{path} {name}", inner)


def _command(path: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([path, *(p.metavar for p in arguments)])
    if getattr(command, "commands", None):
        usage += " COMMAND"
    parts = [f"## `{usage}`", _sentence(command.help)]
    if arguments:
        parts.append("\n".join(f"- `{p.metavar}`: {_sentence(p.help)}" for p in arguments))
    return "\n\n".join(part for part in (*parts, _options(command)) if part)


def _options(command: Any, *, but: str = "") -> str:
    """The options of a command, without those that stand in the table `but`."""
    options = [p for p in command.params if p.param_type_name == "option"]
    rows = [(f"`{_names(p)}`", _sentence(p.help), _default(p)) for p in options]
    rows = [row for row in rows if f"| {row[0]} |" not in but]
    return table(("option", "meaning", "default"), rows) if rows else ""


def look_ups() -> str:
    """The commands that list a table or show one row; all but `plan models` take the same."""
    group: Any = typer.main.get_command(app)
    found = {name: group.commands[name] for name in tables.SUMMARIES}
    models = found["models"]
    (options,) = {
        _options(command)
        for listed in found.values()
        for command in (listed, *listed.commands.values())
        if command is not models
    }
    shown = [(f"`plan {name}`", _sentence(command.help)) for name, command in found.items()]
    filters = "`plan models` also takes filters; a model is listed that passes all of them:"
    parts = (table(("command", "lists"), shown), options, filters, _options(models, but=options))
    return "\n\n".join(parts)


def _names(option: Any) -> str:
    names = ", ".join((*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} {option.metavar}"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def _default(option: Any) -> str:
    if option.required:
        return "required"
    parts = [] if option.default in (None, False, ()) else [f"`{option.default}`"]
    parts += [f"environment `{option.envvar}`"] if option.envvar else []
    parts += ["repeatable"] if option.multiple else []
    return "; ".join(parts)


def exit_codes() -> str:
    """The exit codes and what they say."""
    texts = _docstrings(Exit)
    return table(("code", "meaning"), [(str(int(code)), texts[code.name]) for code in Exit])


def _docstrings(owner: type) -> dict[str, str]:
    """The strings below the assignments of a class."""
    (body,) = ast.parse(inspect.getsource(owner)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for line, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(line, ast.Assign)
            and isinstance(line.targets[0], ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[line.targets[0].id] = str(text.value.value)
    return found


def catalog_tables() -> str:
    """Every table of the catalogs and every field."""
    common = schema.Row.model_fields
    parts = ["## Every row", _fields(common)]
    for name, row in TABLES.items():
        own = {key: field for key, field in row.model_fields.items() if key not in common}
        parts += [f"## `[[{name}]]`", _about(row), _fields(own)]
    for part in PARTS:
        parts += [f"## {part.__name__}", _about(part), _fields(part.model_fields)]
    return "\n\n".join(parts)


def catalog_counts() -> str:
    """How many rows the shipped catalogs have."""
    catalog = load_catalog()
    names = {"gpu": "GPUs", "node": "nodes", "price": "prices", "model": "models"}
    names |= {"quantization": "quantizations", "network": "networks"}
    counts = [f"{len(getattr(catalog, f'{key}s'))} {name}" for key, name in names.items()]
    kinds = [node.kind for node in catalog.nodes.values()]
    nodes = ", ".join(
        f"{kinds.count(kind)} {words}"  # type: ignore[arg-type]
        for kind, words in (
            ("whole", "sold whole"),
            ("parts", "built from priced parts"),
            ("rented", "rented"),
        )
    )
    return f"Shipped: {', '.join(counts)}; of the nodes {nodes}."


def answers() -> str:
    """The values commands print, and then the values inside them."""
    values: list[type[Value]] = [*ANSWERS, *inner_values()]
    return "\n\n".join(map(_answer, values))


def inner_values() -> list[type[Value]]:
    """Values inside the answers, in order of first mention."""
    found: list[type[Value]] = []
    waiting: list[Any] = list(ANSWERS)
    while waiting:
        fields = waiting.pop(0).model_fields.values()
        named = [value for field in fields for value in _mentioned(field.annotation)]
        new = [value for value in dict.fromkeys(named) if value not in (*found, *ANSWERS)]
        found += new
        waiting += new
    return found


def _mentioned(annotation: Any) -> Iterator[type[Value]]:
    if isinstance(annotation, type) and issubclass(annotation, Value):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _mentioned(part)


def _answer(value: type[Value]) -> str:
    fields, about = value.model_fields, _about(value)
    if issubclass(value, plan.Body) and value is not plan.Body:
        fields = {key: field for key, field in fields.items() if key not in plan.Body.model_fields}
        about += " Has all fields of [Body](#body), and:"
    rows = [
        (f"`{field.alias or name}`", _kind(field, null=" or null"), _sentence(field.description))
        for name, field in fields.items()
    ]
    return f"## {value.__name__}\n\n{about}\n\n{table(('field', 'type', 'meaning'), rows)}"


def _about(value: type) -> str:
    return " ".join((inspect.getdoc(value) or "").split())


def _fields(fields: dict[str, FieldInfo]) -> str:
    """Fields somebody writes: their types, and whether they may be left out."""
    rows = [
        (
            f"`{name}`",
            _kind(field, null=""),
            "yes" if field.is_required() else "",
            _sentence(field.description) + _left_out(field),
        )
        for name, field in fields.items()
    ]
    return table(("field", "type", "required", "meaning"), rows)


def _left_out(field: FieldInfo) -> str:
    """What holds where the field is left out; nothing where it must be given, or empty is meant."""
    if field.is_required() or field.default in (None, "", ()) or field.default_factory:
        return ""
    default = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f" Left out: `{default}`."


def _kind(field: FieldInfo, *, null: str) -> str:
    """The type of a field in words, `null` after it where it may be null."""
    text = _type(field.annotation)
    if text == "integer":
        text = next((_UNITS[n] for n in _UNITS if _is_marked(field, n)), text)
    return text + (null if type(None) in typing.get_args(field.annotation) else "")


def _is_marked(field: FieldInfo, name: str) -> bool:
    marks = typing.get_args(getattr(schema, name))[1:]
    return any(mark in marks for mark in field.metadata)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        name = next((n for n in _UNITS if annotation == getattr(schema, n)), None)
        return _UNITS[name] if name else _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    name = annotation.__name__
    return f"[{name}](#{name.lower()})" if name not in _PLAIN else _PLAIN[name]
