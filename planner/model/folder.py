"""Which model a path leads to: the config.json or the GGUF file to read. Model layer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from planner.errors import FileError

CONFIG = "config.json"

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-\d{5}", re.DOTALL)
_PROJECTOR = "mmproj"
"""Start of the names of files that hold a vision tower alone."""
_FILES_LIMIT = 20_000
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Found:
    """One model on disk."""

    kind: Literal["config", "gguf"]
    path: Path
    """Of the config.json, or the GGUF file (of a split one any part)."""
    name: str
    """What people would call it: the folder of a config.json, else the file without its ending."""


def model_in(path: Path) -> Found:
    """The model at `path`: a config.json, a GGUF file, or a folder with one of them.

    Raises:
        FileError: nothing there is a model, or several are.
    """
    if path.is_dir():
        return _in_folder(path)
    ending = path.suffix.casefold()
    if ending == ".safetensors" or path.name.endswith(".safetensors.index.json"):
        raise FileError(
            f"{path} has the tensors of a model and not its layers",
            hint=f"give its folder, with the publisher's {CONFIG} in it",
        )
    if ending == ".gguf" or _is_gguf(path):
        return Found("gguf", path, _stem(path.name))
    name = _folder_name(path.parent) if path.name == CONFIG else path.stem
    return Found("config", path, name)


def has_safetensors(folder: Path) -> bool:
    """Whether a folder that may be listed holds files of a checkpoint."""
    if not os.access(folder, os.R_OK):
        return False
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(".safetensors") for entry in entries)


def _in_folder(folder: Path) -> Found:
    names = _names(folder)
    if CONFIG in names:
        return Found("config", folder / CONFIG, _folder_name(folder))
    models: dict[str, str] = {}
    for name in names:
        if name.casefold().endswith(".gguf") and not name.casefold().startswith(_PROJECTOR):
            models.setdefault(_stem(name), name)
    if len(models) > 1:
        some = ", ".join(list(models.values())[:_SHOWN])
        more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
        raise FileError(
            f"{folder} has {len(models)} models: {some}{more}", hint="give the file of one of them"
        )
    if models:
        stem, name = next(iter(models.items()))
        return Found("gguf", folder / name, stem)
    if any(name.endswith(".safetensors") for name in names):
        raise FileError(
            f"{folder} has safetensors files and no {CONFIG}: tensors do not say what the layers"
            " look at",
            hint=f"fetch the publisher's {CONFIG} into it",
        )
    raise FileError(
        f"{folder} has no {CONFIG} and no *.gguf",
        hint="give a checkpoint's folder, a config.json or a GGUF file",
    )


def _names(folder: Path) -> list[str]:
    """Names of the folder's files, sorted."""
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > _FILES_LIMIT:
                    raise FileError(
                        f"{folder} has more than {_FILES_LIMIT:,} files",
                        hint="give the folder of one model",
                    )
    except OSError as error:
        raise FileError(
            f"cannot read {folder}: {error.strerror}", hint="check the folder's permissions"
        ) from error
    return sorted(names)


def _stem(name: str) -> str:
    """A file's name without ending and part number."""
    stem = name[: -len(".gguf")] if name.casefold().endswith(".gguf") else name
    part = _PART.fullmatch(stem)
    return part["stem"] if part else stem


def _folder_name(folder: Path) -> str:
    """The folder's name; in a Hugging Face cache, the model's."""
    whole = folder.resolve()
    if whole.parent.name == "snapshots":
        return whole.parent.parent.name.rpartition("--")[2]
    return whole.name


def _is_gguf(path: Path) -> bool:
    """Whether a regular file begins as GGUF files do."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError as error:
        raise FileError(
            f"cannot read {path}: {error.strerror}", hint="check the file's permissions"
        ) from error
