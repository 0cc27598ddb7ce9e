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
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
    "dcp": "decode_context_parallel",
}
OWN = {"catalog", "explain-speed", "json", "plain", "o", "force", "help"}


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
        assert parameter.help == " ".join(field.description.split())
        if name != "model":
            assert read_default(parameter) == field.default


def read_default(parameter):
    """The default as the request has it: lists are tuples, switches are booleans."""
    return {(): (), "on": True}.get(parameter.default, parameter.default) or (
        () if parameter.multiple else parameter.default
    )


def test_the_choices_offered_are_those_of_the_request():
    for request_type, engines in (
        (PlanRequest, options.EVERY_ENGINE),
        (EvaluateRequest, options.ENGINES),
    ):
        fields = request_type.model_json_schema()["properties"]
        assert fields["kv_type"]["enum"] == list(options.KV_TYPES)
        assert sorted(chosen(fields["engine"])) == sorted(engines)


def chosen(field):
    """The values a field of one or several choices takes, but null."""
    every = field.get("anyOf", [field])
    return [value for each in every for value in each.get("enum", [each.get("const")]) if value]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_prints_json(command):
    nested = getattr(COMMANDS[command], "commands", {})
    for entry in (COMMANDS[command], *nested.values()):
        if entry in (COMMANDS["catalog"], COMMANDS["inventory"]):
            continue  # a group without an answer of its own
        assert any("--json" in parameter.opts for parameter in entry.params), entry.name


def test_the_tables_can_be_looked_up():
    assert {"models", "gpus", "nodes", "links", "quants", "engines"} <= set(COMMANDS)
    assert set(COMMANDS["catalog"].commands) == {"check", "schema"}
    assert len(TABLES) >= 8
