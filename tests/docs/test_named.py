"""Every command, option, exit code, target, catalog field and JSON field is named in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from docs.console import ROOT
from planner import plan
from planner.catalog.load import TABLES
from planner.cli.app import app
from planner.cli.exits import Exit
from planner.cli.export import TARGETS
from planner.cli.tables import SUMMARIES
from planner.errors import PlannerError
from planner.values import Value


def page(name: str) -> str:
    return (ROOT / name).read_text()


def section(name: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page(name), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"{name} has no heading {heading}"
    return found[1]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that is no table, by its words."""
    waiting: list[tuple[str, Any]] = [("plan", typer.main.get_command(app))]
    while waiting:
        path, command = waiting.pop()
        inner = getattr(command, "commands", {})
        waiting += [(f"{path} {name}", entry) for name, entry in inner.items()]
        yield path, command


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL)
def test_a_command_and_its_options_are_documented(path: str) -> None:
    words = path.split()
    if len(words) > 1 and words[1] in SUMMARIES:
        text = section("docs/commands.md", "Looking up: `plan TABLE` and `plan TABLE show NAME`")
        assert f"`plan {words[1]}`" in text
    else:
        heading = re.search(rf"^## (`{path}(?: [A-Z.a-z]+)*`)$", page("docs/commands.md"), re.M)
        assert heading is not None
        text = section("docs/commands.md", heading[1])
    for parameter in ALL[path].params:
        if parameter.param_type_name == "option" and "--help" not in parameter.opts:
            for name in parameter.opts:
                assert re.search(rf"^\| `(\S+, )?{name}[ ,`]", text, re.M), name


def test_commands_are_at_least_those_of_the_design() -> None:
    verbs = {"solve", "evaluate", "requirements", "verify", "export", "catalog", *SUMMARIES}
    assert verbs <= {path.split()[1] for path in ALL if " " in path}


def test_every_exit_code_is_documented() -> None:
    text = section("docs/commands.md", "Exit codes")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \| \S", text, re.MULTILINE)}
    assert documented == {int(code) for code in Exit}
    errors = [PlannerError]
    while errors:
        error = errors.pop()
        assert error.exit_code in documented
        errors += error.__subclasses__()


@pytest.mark.parametrize("table", TABLES)
def test_every_field_of_a_table_is_documented_with_its_meaning(table: str) -> None:
    text = section("docs/catalogs.md", f"`[[{table}]]`") + section("docs/catalogs.md", "Every row")
    for field in TABLES[table].model_fields:
        assert re.search(rf"^\| `{field}` \|.*\| \S[^|]* \|$", text, re.MULTILINE), field


def values() -> list[type[Value]]:
    """Every value of an answer; the fields of `Head` stand where an answer begins with them."""
    found = [entry for entry in vars(plan).values() if isinstance(entry, type)]
    return [x for x in found if issubclass(x, Value) and x not in (Value, plan.Head)]


@pytest.mark.parametrize("value", values(), ids=lambda value: value.__name__)
def test_every_field_of_an_answer_is_documented(value: type[Value]) -> None:
    if issubclass(value, plan.Body):
        text = section("docs/json.md", "Body")
        text += section("docs/json.md", value.__name__)
    else:
        text = section("docs/json.md", value.__name__)
    for name, field in value.model_fields.items():
        assert f"\n| `{field.alias or name}` |" in text


def test_every_target_is_documented() -> None:
    for target in TARGETS:
        assert f"| `{target}` |" in section("README.md", "Export")
        assert f"\n## {target}\n" in page("docs/export.md")
