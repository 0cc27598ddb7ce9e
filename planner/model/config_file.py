"""A config.json from disk as one flat mapping of the language network's fields. Model layer.

Models with a vision tower or speech nest the language network, and may keep the tower's own
dimensions beside it. Only what holds for the whole checkpoint is taken from outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.errors import FactsError, FileError
from planner.model.json_scan import no_constant, unique
from planner.model.local_file import read_whole, refuse_pointer
from planner.units import MIB

CONFIG_LIMIT = 4 * MIB
"""Bytes a config.json may have; published ones, with lists of unquantized layers, stay below 1 MiB
(a Python object takes up to 45 times the bytes of its JSON text)."""

NESTED = ("thinker_config", "llm_config", "text_config", "language_config")
"""Where the language network may lie, the first that is there wins; looked up again inside it, so
that `thinker_config.text_config` is found."""

OUTER_FIELDS = (
    "architectures",
    "audio_config",
    "compression_config",
    "dtype",
    "model_type",
    "quantization_config",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "vision_config",
)
"""Fields that hold for the whole checkpoint: taken from outside where the language network has no
own value. Dimensions never are, for those outside may be the vision tower's."""

_DEPTH_LIMIT = 64


def read_config(path: Path) -> dict[str, Any]:
    """The fields of the language network in the config.json at `path`.

    Raises:
        FileError: no readable file, too long, no UTF-8, or no JSON object with unique keys.
        FactsError: the language network's place holds something else than fields.
    """
    return flatten(read_config_json(path), str(path))


def read_config_json(path: Path) -> dict[str, Any]:
    """The config.json at `path` as it is, nested parts included.

    Raises:
        FileError: as `read_config`.
    """
    return parse_config(read_whole(path, CONFIG_LIMIT), str(path))


def parse_config(raw: bytes, where: str) -> dict[str, Any]:
    """The JSON object written in `raw`; `where` names it in messages.

    Raises:
        FileError: no UTF-8, no JSON (NaN is none; Infinity is read, for published configs have it
            as the upper limit of a range), a key twice, nesting beyond 64 levels, or no object.
    """
    refuse_pointer(raw, where)
    try:
        content = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=unique, parse_constant=_infinity
        )
    except RecursionError as error:
        raise _bad(where, f"nested more than {_DEPTH_LIMIT} levels deep") from error
    except ValueError as error:
        raise _bad(where, str(error)[:200]) from error
    if not isinstance(content, dict):
        raise _bad(where, f"a JSON {type(content).__name__}, not an object")
    _check_values(content, where)
    return content


def flatten(config: Mapping[str, Any], where: str = "config") -> dict[str, Any]:
    """The language network's fields of `config`, nested parts resolved.

    1. The language network is the last of the chain that `NESTED` leads through; without one it
       is the top level, kept whole.
    2. Its own fields win. A field of `OUTER_FIELDS` it lacks (or has as null) comes from the
       nearest level outside; no other field does.

    Raises:
        FactsError: a nested part is there but no object.
    """
    levels = [config]
    while (inner := _inner(levels[-1], where)) is not None:
        levels.append(inner)
    flat = {key: value for key, value in levels[-1].items() if key not in NESTED}
    for level in reversed(levels[:-1]):
        for field in OUTER_FIELDS:
            if flat.get(field) is None and level.get(field) is not None:
                flat[field] = level[field]
    return flat


def _inner(level: Mapping[str, Any], where: str) -> Mapping[str, Any] | None:
    for key in NESTED:
        part = level.get(key)
        if part is None or part == {}:
            continue
        if not isinstance(part, Mapping):
            raise FactsError(
                f"{where}: '{key}' is {str(part)[:60]!r}, not the fields of a network",
                hint="take the config.json the publisher ships",
            )
        return part
    return None


def _infinity(name: str) -> float:
    return no_constant(name) if name == "NaN" else float(name)


def _check_values(content: Any, where: str) -> None:
    """Refuses what would surprise later: deep nesting and broken characters."""
    level = [content]
    for _ in range(_DEPTH_LIMIT):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and not value.isascii():
                _check_characters(value, where)
        if not below:
            return
        level = below
    raise _bad(where, f"nested more than {_DEPTH_LIMIT} levels deep")


def _check_characters(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _bad(where, f"half a character in {text[:60]!r}") from error


def _bad(where: str, what: str) -> FileError:
    return FileError(
        f"{where} is no config.json: {what}", hint="take the config.json the publisher ships"
    )
