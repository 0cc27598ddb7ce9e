"""The published schema describes every table and field, and takes sizes as text."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from planner.catalog.load import TABLES, default_directory
from planner.catalog.schema_json import schema_json


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return schema_json()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_field_of_a_table_is_in_the_schema(schema: dict[str, Any], table: str) -> None:
    row = TABLES[table]
    definition = schema["$defs"][row.__name__]
    assert schema["properties"][table]["items"] == {"$ref": f"#/$defs/{row.__name__}"}
    assert set(definition["properties"]) == set(row.model_fields)
    assert definition["additionalProperties"] is False
    assert {"name", "source", "checked"} <= set(definition["required"])


def test_a_size_may_be_written_as_text(schema: dict[str, Any]) -> None:
    bandwidth = schema["$defs"]["Gpu"]["properties"]["memory_bandwidth"]
    assert {entry["type"] for entry in bandwidth["anyOf"]} == {"integer", "string"}


def test_every_key_of_the_shipped_files_is_in_the_schema(schema: dict[str, Any]) -> None:
    for path in sorted(default_directory().rglob("*.toml")):
        for table, rows in tomllib.loads(path.read_text("utf-8")).items():
            definition = schema["$defs"][TABLES[table].__name__]
            for row in rows:
                assert set(row) <= set(definition["properties"]), (path.name, row["name"])
                assert set(definition["required"]) <= set(row), (path.name, row["name"])


def test_references_inside_the_schema_resolve(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    used = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert used <= set(schema["$defs"])
