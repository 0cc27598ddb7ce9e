"""`plan facts MODEL`: parameters, layers, bytes and cache of a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli import catalogs, options, output
from planner.cli.exits import Exit
from planner.errors import ConflictingOptions, FileError

if TYPE_CHECKING:
    from planner.catalog.schema import ModelRow


def facts(
    model: options.OptionalModel = None,
    config: options.ConfigFile = None,
    gguf: options.GgufFile = None,
    safetensors: options.CheckpointFolder = None,
    quant: options.FactsQuant = "auto",
    context: options.CacheContext = None,
    catalog: options.CatalogFolders = None,
    as_json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """What a model is made of: parameters, layers, bytes, cache."""
    files = {"--config": config, "--gguf": gguf, "--safetensors": safetensors}
    given = {option: path for option, path in files.items() if path is not None}
    if (model is not None) + len(given) != 1:
        raise ConflictingOptions(
            "give one of MODEL, --config, --gguf and --safetensors",
            hint="e.g. plan facts kimi-k2, or plan facts --gguf model.gguf",
        )
    from planner.report.facts import render
    from planner.services.facts import facts as find

    option, path = next(iter(given.items()), ("", Path()))
    text = model if model is not None else _as_path(path)
    rows = catalogs.load_with(catalog, text)
    _check_kind(option, path, rows.model(text))
    found = find(text, rows, quant, context)
    output.answer(found, lambda: render(found), as_json=as_json, plain=plain)
    return Exit.YES


def _as_path(path: Path) -> str:
    """`path` written so that it is no name of the catalogs."""
    text = str(path.expanduser())
    return text if os.path.isabs(text) else os.path.join(os.curdir, text)


def _check_kind(option: str, path: Path, row: ModelRow) -> None:
    """Refuses a file of another kind than its option says."""
    kinds = {
        "--config": ("a config.json", bool(row.config)),
        "--gguf": ("a GGUF file", bool(row.file)),
        "--safetensors": ("a folder with config.json and *.safetensors", bool(row.folder)),
    }
    what, right = kinds.get(option, ("", True))
    if not right:
        raise FileError(f"{option} {path}: not {what}", hint="give it as MODEL instead")
