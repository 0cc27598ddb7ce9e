"""JSON Schema of a catalog file, so that editors complete and check TOML catalogs."""

from __future__ import annotations

from typing import Any

from planner.catalog.load import TABLES


def schema_json() -> dict[str, Any]:
    """The schema of one catalog file: every table an array of its rows."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for table, row in TABLES.items():
        schema = row.model_json_schema(ref_template="#/$defs/{model}", mode="validation")
        definitions.update(schema.pop("$defs", {}))
        definitions[row.__name__] = schema
        properties[table] = {"type": "array", "items": {"$ref": f"#/$defs/{row.__name__}"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Catalog file of the planner",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": dict(sorted(definitions.items())),
    }
