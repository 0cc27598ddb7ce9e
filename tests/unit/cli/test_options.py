"""Options are what the design names, and say what their field says."""

from __future__ import annotations

import pytest
import typer

from planner.catalog.load import TABLES
from planner.cli import options
from planner.cli.app import app
from planner.request import EvaluateRequest, PlanRequest

COMMANDS = typer.main.get_command(app).commands
FIELDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "node": "nodes",
}
OWN = {"catalog", "json", "plain", "o", "force", "help"}


def parameters(command):
    return {
        option.lstrip("-"): parameter
        for parameter in COMMANDS[command].params
        for option in parameter.opts[:1]
    }


@pytest.mark.parametrize(
    ("command", "request_type"), [("solve", PlanRequest), ("evaluate", EvaluateRequest)]
)
def test_every_field_has_an_option_with_its_help_and_default(command, request_type):
    found = parameters(command)
    asked = {name: entry for name, entry in found.items() if name not in OWN}
    fields = {}
    for name in asked:
        fields[FIELDS.get(name, name.replace("-", "_"))] = asked[name]
    assert set(fields) == set(request_type.model_fields)
    for name, parameter in fields.items():
        field = request_type.model_fields[name]
        assert parameter.help == field.description
        if name != "model":
            assert read_default(parameter) == field.default


def read_default(parameter):
    """The default as the request has it: lists are tuples, switches are booleans."""
    return {(): (), "on": True}.get(parameter.default, parameter.default) or (
        () if parameter.multiple else parameter.default
    )


def test_the_choices_offered_are_those_of_the_request():
    for option, name in ((options.KV_TYPES, "kv_type"), (options.ENGINES, "engine")):
        assert PlanRequest.model_json_schema()["properties"][name].get(
            "enum", [PlanRequest.model_json_schema()["properties"][name].get("const")]
        ) == list(option)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_prints_json(command):
    nested = getattr(COMMANDS[command], "commands", {})
    for entry in (COMMANDS[command], *nested.values()):
        if entry is COMMANDS["catalog"]:
            continue  # a group without an answer of its own
        assert any("--json" in parameter.opts for parameter in entry.params), entry.name


def test_the_tables_can_be_looked_up():
    assert {"models", "gpus", "nodes", "links", "quants", "engines"} <= set(COMMANDS)
    assert set(COMMANDS["catalog"].commands) == {"check", "schema"}
    assert len(TABLES) >= 8
