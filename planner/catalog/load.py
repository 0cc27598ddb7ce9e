"""Reads the TOML catalogs and the user's overlays into typed rows, later files winning.

`planner/catalogs` (installed) is taken if present, else `catalogs` at the root of the source tree.
"""

from __future__ import annotations

import functools
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from planner.catalog import schema
from planner.errors import CatalogError, UnknownName

R = TypeVar("R", bound=schema.Row)

TABLES: Mapping[str, type[schema.Row]] = MappingProxyType(
    {
        "gpu": schema.Gpu,
        "node": schema.Node,
        "price": schema.Price,
        "link": schema.Link,
        "network": schema.Network,
        "quantization": schema.Quantization,
        "model": schema.ModelRow,
        "engine_build": schema.EngineBuild,
        "calibration": schema.Calibration,
        "prior": schema.Prior,
        "serving_rate": schema.ServingRate,
        "serving_engine": schema.ServingEngine,
        "collective": schema.Collective,
    }
)
"""Table name in TOML to row type."""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Every row, by table and name, in file order; and what an overlay replaced."""

    gpus: Mapping[str, schema.Gpu]
    nodes: Mapping[str, schema.Node]
    prices: Mapping[str, schema.Price]
    links: Mapping[str, schema.Link]
    networks: Mapping[str, schema.Network]
    quantizations: Mapping[str, schema.Quantization]
    models: Mapping[str, schema.ModelRow]
    engine_builds: Mapping[str, schema.EngineBuild]
    calibrations: Mapping[str, schema.Calibration]
    priors: Mapping[str, schema.Prior]
    serving_rates: Mapping[str, schema.ServingRate]
    serving_engines: Mapping[str, schema.ServingEngine]
    collectives: Mapping[str, schema.Collective]
    digest: str
    """SHA-256 of all files read, in order."""
    overridden: tuple[str, ...] = field(default=())
    """`table name` of each row an overlay replaced."""

    @functools.cached_property
    def model_names(self) -> Mapping[str, str]:
        """Every name and alias, case-folded, to the model's name.

        Published ids count without their owner too, where that is nobody else's name.
        """
        names: dict[str, str] = {}
        for row in self.models.values():
            for alias in (row.name, *row.aliases):
                names[alias.casefold()] = row.name
        for alias, name in tuple(names.items()):
            names.setdefault(alias.rpartition("/")[2], name)
        return names

    def model(self, name: str) -> schema.ModelRow:
        """The model called `name`: its key or any alias, ignoring case.

        Raises:
            UnknownName: no model has that name.
        """
        key = self.model_names.get(name.casefold())
        if key is None:
            known = [n for row in self.models.values() for n in (row.name, *row.aliases)]
            raise UnknownName("model", name, known)
        return self.models[key]

    def gpu(self, name: str) -> schema.Gpu:
        """The GPU row `name`, or UnknownName."""
        return _find("gpu", self.gpus, name)

    def node(self, name: str) -> schema.Node:
        """The node row `name`, or UnknownName."""
        return _find("node", self.nodes, name)

    def quantization(self, name: str) -> schema.Quantization:
        """The quantization row `name`, ignoring case, or UnknownName."""
        by_fold = {key.casefold(): key for key in self.quantizations}
        return _find("quant", self.quantizations, by_fold.get(name.casefold(), name))

    def engine_build(self, name: str) -> schema.EngineBuild:
        """The engine build `name`, or UnknownName."""
        return _find("engine", self.engine_builds, name)

    def default_build(self, engine: str) -> schema.EngineBuild:
        """The build of an engine taken where none is asked for, or UnknownName."""
        builds = {row.engine: row for row in self.engine_builds.values() if row.default}
        return _find("engine", builds, engine)


def _find(kind: str, rows: Mapping[str, R], name: str) -> R:
    row = rows.get(name)
    if row is None:
        raise UnknownName(kind, name, rows)
    return row


def default_directory() -> Path:
    """Where the shipped catalogs lie."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "catalogs"
    return installed if installed.is_dir() else package.parent / "catalogs"


@functools.cache
def shipped_rows(folder: str) -> tuple[tuple[str, schema.Row], ...]:
    """Table and row of everything in one folder of the shipped catalogs, in file order.

    Raises:
        CatalogError: as `load_catalog`.
    """
    digest = hashlib.sha256()
    files = _toml_files(default_directory() / folder)
    return tuple(found for path in files for found in _read(path, digest))


def load_catalog(overlays: tuple[Path, ...] = ()) -> Catalog:
    """The shipped catalogs with `overlays` (folders or single TOML files) on top.

    Raises:
        CatalogError: a file that cannot be read, is not TOML, has an unknown table or a bad field.
    """
    return _load(tuple(path.resolve() for path in overlays))


@functools.cache
def _load(overlays: tuple[Path, ...]) -> Catalog:
    rows: dict[str, dict[str, schema.Row]] = {table: {} for table in TABLES}
    digest = hashlib.sha256()
    overridden: list[str] = []
    for number, root in enumerate((default_directory(), *overlays)):
        for path in _toml_files(root):
            for table, row in _read(path, digest):
                if row.name in rows[table]:
                    if number == 0:
                        raise CatalogError(f"{path}: [[{table}]] '{row.name}' is there twice")
                    overridden.append(f"{table} {row.name}")
                rows[table][row.name] = row
    tables: dict[str, Any] = {
        f"{table}s": MappingProxyType(content) for table, content in rows.items()
    }
    return Catalog(**tables, digest=digest.hexdigest(), overridden=tuple(overridden))


def _toml_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    files = sorted(root.rglob("*.toml")) if root.is_dir() else []
    if not files:
        raise CatalogError(
            f"no catalog files at {root}", hint="--catalog takes a folder with *.toml files"
        )
    return files


def _read(path: Path, digest: Any) -> list[tuple[str, schema.Row]]:
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(
            f"cannot read {path}: {error}", hint="a catalog file is UTF-8 TOML; mend that line"
        ) from error
    digest.update(raw)
    found: list[tuple[str, schema.Row]] = []
    for table, entries in content.items():
        if table not in TABLES or not isinstance(entries, list):
            raise CatalogError(
                f"{path}: unknown table '{table}'",
                hint="tables are " + ", ".join(f"[[{name}]]" for name in TABLES),
            )
        found.extend((table, _row(path, table, entry)) for entry in entries)
    return found


def _row(path: Path, table: str, entry: Any) -> schema.Row:
    name = entry.get("name", "?") if isinstance(entry, dict) else "?"
    try:
        return TABLES[table].model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "row"
        raise CatalogError(
            f"{path}: [[{table}]] '{name}', {where}: {first['msg']} (got {first['input']!r})",
            hint="'plan catalog schema' prints the fields of every table",
        ) from error
