"""MODEL as people give it: a name of the catalogs, a file or folder, a name on a hub. Model layer.

What is found outside the catalogs becomes one more model row of them, so that everything else
keeps asking the catalogs. The digest then covers what was read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from planner.catalog.load import Catalog
from planner.catalog.schema import ModelRow, Quantization
from planner.errors import FactsError, FileError, UnknownName, UnsupportedArchitecture
from planner.model.architecture import Architecture
from planner.model.config_file import CONFIG_LIMIT, flatten, parse_config
from planner.model.encoders import no_text, why_no_text
from planner.model.folder import Found, has_safetensors, model_in
from planner.model.gguf import GgufFile, read_gguf
from planner.model.huggingface import architecture_from_config
from planner.model.local_file import read_whole
from planner.model.own_quantization import OWN, own_quantization
from planner.model.parameters import parameters

RECOMMENDED = "Q4_K_M"
"""Quantization recommended for a model nobody recommends one for."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_ENDINGS = (".gguf", ".json", ".safetensors")
_STARTS = ("./", "../", "/", "~", ".\\", "..\\")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+-]+")
_NAME_LENGTH = 80


def with_model(catalog: Catalog, text: str) -> Catalog:
    """`catalog`, with a row for the model `text` names where the catalogs have none.

    In this order: a name or alias of the catalogs; a file or folder (`./NAME` is never a name of
    the catalogs); `owner/name` on a hub. The new row answers to `text` as typed.

    Raises:
        UnknownName: `text` is none of these.
        FileError: the file or folder is not there, or holds no model, or the hub cannot be asked.
        FactsError: the model in it is not understood.
    """
    if text.casefold() in catalog.model_names:
        return catalog
    path = _path(text)
    if os.path.lexists(path):
        return _with_found(catalog, text, model_in(path))
    found = _on_hub(text)
    if found is not None:
        return _with_found(catalog, text, found)
    if text.startswith(_STARTS) or text.casefold().endswith(_ENDINGS):
        raise FileError(
            f"there is no file or folder {text}",
            hint="paths count from the working directory; 'plan models' lists names",
        )
    known = [name for row in catalog.models.values() for name in (row.name, *row.aliases)]
    raise UnknownName(
        "model",
        text,
        known,
        hint="'plan models' lists them; a config.json, its folder or a GGUF file will do",
    )


def _path(text: str) -> Path:
    """The path typed as `text`; one that cannot exist where it is no path at all."""
    if not text or not text.isprintable() or len(text.encode()) > 4096:
        raise UnknownName("model", text[:80], (), hint="'plan models' lists them")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise FileError(f"{text}: {error}", hint="write the path without '~'") from error


def _on_hub(text: str) -> Found | None:
    """The model `owner/name` of a hub, fetched; None where `text` is no such name.

    Raises:
        RequestError, FileError: as `planner.model.hub.fetch_model`.
    """
    from planner.model.hub import fetch_model, parse_hub_name  # most runs need no network

    named = parse_hub_name(text)
    if named is None:
        return None
    found = model_in(fetch_model(named.repository, revision=named.revision, file=named.file))
    if found.kind == "gguf":
        return found
    return dataclasses.replace(found, name=named.repository.rpartition("/")[2])


def _with_found(catalog: Catalog, text: str, found: Found) -> Catalog:
    day = datetime.date.today()
    name = _free_name(catalog, found.name)
    if found.kind == "gguf":
        file = read_gguf(found.path)
        own = own_quantization(file, catalog.quantizations.values(), day)
        with _named(found.path):
            row = _gguf_row(file, name, text, day)
        return _extended(catalog, row, _gguf_digest(file), own)
    raw = read_whole(found.path, CONFIG_LIMIT)
    config = parse_config(raw, str(found.path))
    with _named(found.path):
        row = _config_row(config, found.path, name, text, day)
    return _extended(catalog, row, raw)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the path before messages about what is in the file."""
    try:
        yield
    except FactsError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


def _config_row(
    config: Mapping[str, Any], path: Path, name: str, text: str, day: datetime.date
) -> ModelRow:
    """The row of a config.json.

    Raises:
        UnsupportedArchitecture: a network without rules.
    """
    origin = config.get("_name_or_path")
    known = isinstance(origin, str) and _HUB_NAME.fullmatch(origin) is not None
    return ModelRow(
        name=name,
        title=name,
        publisher=str(origin).partition("/")[0] if known else "",
        aliases=(text,),
        parameters=parameters(_architecture(config)),
        recommended=RECOMMENDED,
        config=dict(config),
        folder=str(path.parent) if has_safetensors(path.parent) else "",
        source=str(path),
        checked=day,
    )


def _architecture(config: Mapping[str, Any]) -> Architecture:
    """The text network of a whole config.

    Raises:
        UnsupportedArchitecture: there are no rules for it.
    """
    flat = flatten(config)
    try:
        return architecture_from_config(flat)
    except UnsupportedArchitecture as error:
        reason = why_no_text(flat)
        if reason is None:
            raise
        raise no_text(reason) from error


def _gguf_row(file: GgufFile, name: str, text: str, day: datetime.date) -> ModelRow:
    """The row of a GGUF file."""
    title = file.metadata.get("general.name")
    return ModelRow(
        name=name,
        title=title[:80] if isinstance(title, str) and title.strip() else name,
        publisher="",
        aliases=(text,),
        parameters=parameters(file.architecture()),
        recommended=OWN,
        file=str(file.path),
        source=str(file.path),
        checked=day,
    )


def _extended(
    catalog: Catalog, row: ModelRow, content: bytes, *quantizations: Quantization
) -> Catalog:
    """`catalog` with one more model; its digest covers the model's name and `content`."""
    digest = hashlib.sha256()
    for part in (catalog.digest.encode(), row.name.encode(), content):
        digest.update(hashlib.sha256(part).digest())
    more = {quantization.name: quantization for quantization in quantizations}
    return dataclasses.replace(
        catalog,
        models=MappingProxyType({**catalog.models, row.name: row}),
        quantizations=MappingProxyType({**catalog.quantizations, **more}),
        digest=digest.hexdigest(),
    )


def _gguf_digest(file: GgufFile) -> bytes:
    """SHA-256 of the metadata and the tensor list, whatever the parts are called."""
    digest = hashlib.sha256()
    for key, value in sorted(file.metadata.items()):
        digest.update(f"{key}={value!r}\n".encode(errors="surrogatepass"))
    for tensor in sorted(file.tensors, key=lambda tensor: tensor.name):
        digest.update(f"{tensor.name} {tensor.type} {tensor.shape}\n".encode())
    return digest.digest()


def _free_name(catalog: Catalog, wanted: str) -> str:
    """`wanted` as the name of a row no other row has."""
    name = _NOT_IN_NAMES.sub("-", wanted).strip("._+-")[:_NAME_LENGTH] or "model"
    if name.casefold() in catalog.model_names:
        name = name[: _NAME_LENGTH - len("-file")] + "-file"
    return name
