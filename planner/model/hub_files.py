"""What a repository on a hub holds, and which of its files are the model. Model layer.

Names come from a server: only plain ones are taken, so no path leads out of the cache.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from planner.errors import FileError, RequestError, near_names
from planner.model.checkpoint_index import INDEX
from planner.model.json_scan import no_constant, unique
from planner.units import MIB

LISTING_LIMIT = 4 * MIB
"""Bytes of a repository's list of files: some 10,000 files (Python takes up to 45 times that)."""

FILES_LIMIT = 1000
"""Files of one model."""

_CONFIGS = ("config.json", "hf_quant_config.json", "quantize_config.json")
_SINGLE = "model.safetensors"
_DEPTH_LIMIT = 4
_NAME_LIMIT = 200
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_PART = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf")
_QUANTIZATION = re.compile(
    r"(?:UD-)?(?:I?Q[1-9](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_NOT_THE_MODEL = re.compile(r"(?:^|/)(?:mmproj|imatrix)|[-_.](?:mmproj|imatrix)", re.IGNORECASE)
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at one commit."""

    commit: str
    files: tuple[str, ...]
    """Paths with plain names, sorted."""


@dataclass(frozen=True, slots=True)
class GgufChoice:
    """One model among the GGUF files of a repository."""

    label: str
    """Its quantization as its name has it, or the name."""
    files: tuple[str, ...]
    """Its file, or all its parts in order."""


def parse_listing(raw: bytes, where: str) -> Listing:
    """The listing written in `raw`, a hub's answer or what was kept of one.

    Raises:
        FileError: it is none.
    """
    try:
        content: Any = json.loads(raw, object_pairs_hook=unique, parse_constant=no_constant)
        commit, siblings = content["sha"], content["siblings"]
        names = [sibling["rfilename"] for sibling in siblings]
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise ValueError("no commit")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError(
            f"{where}: the hub's answer is no list of files",
            hint="check HF_ENDPOINT, or download the files and give their folder",
        ) from error
    return Listing(commit, tuple(sorted({name for name in names if _plain(name)})))


def checkpoint_files(listing: Listing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files to fetch whole and safetensors files to fetch the headers of.

    With an index, its files are a choice among the second.
    """
    top = [file for file in listing.files if "/" not in file]
    whole = tuple(file for file in top if file in _CONFIGS or file == INDEX)
    if INDEX not in top and _SINGLE in top:
        return whole, (_SINGLE,)
    return whole, tuple(file for file in top if file.endswith(".safetensors"))


def gguf_choices(listing: Listing, where: str) -> tuple[GgufChoice, ...]:
    """The models among the GGUF files, by name; projectors and statistics left out.

    Raises:
        FileError: some of a model's parts are missing.
    """
    found: dict[str, tuple[str, ...]] = {}
    for file in listing.files:
        if not file.lower().endswith(".gguf") or _NOT_THE_MODEL.search(file):
            continue
        part = _PART.fullmatch(file)
        if part is None:
            found[file] = (file,)
        elif 0 < int(part["count"]) <= FILES_LIMIT:
            count = int(part["count"])
            parts = tuple(f"{part['stem']}-{i + 1:05}-of-{count:05}.gguf" for i in range(count))
            found[parts[0]] = parts
    present = set(listing.files)
    for name, parts in found.items():
        missing = next((part for part in parts if part not in present), None)
        if missing is not None:
            raise FileError(
                f"{where} lacks {missing}, a part of {name}",
                hint="tell the publisher, or name another file after a colon",
            )
    return tuple(GgufChoice(_label(name), parts) for name, parts in sorted(found.items()))


def choose_gguf(choices: tuple[GgufChoice, ...], wanted: str | None, where: str) -> GgufChoice:
    """The one among `choices` that `wanted` names by quantization or file; any if it is alone.

    Raises:
        RequestError: none or several fit; the hint lists what there is.
    """
    labels = [choice.label for choice in choices]
    if wanted is None:
        if len(choices) == 1:
            return choices[0]
        raise RequestError(
            f"{where} holds {len(choices)} GGUF models",
            hint=f"choose one: {where}:{labels[0]}; there are {_listed(labels)}",
        )
    folded = wanted.casefold()
    fitting = [choice for choice in choices if choice.label.casefold() == folded]
    if not fitting:
        fitting = [choice for choice in choices if folded in _names(choice)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RequestError(
            f"{where} holds {len(fitting)} GGUF models of {wanted}",
            hint=f"name the file: {_listed([choice.files[0] for choice in fitting])}",
        )
    near = near_names(wanted, labels)
    first = f"did you mean {' or '.join(near)}? " if near else ""
    there = f"there are {_listed(labels)}" if labels else "it has no GGUF files"
    raise RequestError(f"{where} has no GGUF model '{wanted}'", hint=f"{first}{there}")


def _names(choice: GgufChoice) -> set[str]:
    """What a person may call a choice, besides its quantization."""
    paths = {file.casefold() for file in choice.files}
    names = paths | {path.rpartition("/")[2] for path in paths}
    return names | {name.removesuffix(".gguf") for name in names}


def _label(file: str) -> str:
    """The quantization a file name says, or its name without path and ending."""
    name = file.rpartition("/")[2]
    part = _PART.fullmatch(name)
    stem = part["stem"] if part is not None else name[: -len(".gguf")]
    found = list(_QUANTIZATION.finditer(stem))
    return found[-1][0].upper() if found else stem


def _plain(name: object) -> bool:
    """Whether `name` is a path of a few plain names, which stays below the folder it is put in."""
    if not isinstance(name, str) or not name.isprintable():
        return False
    parts = name.split("/")
    return len(parts) <= _DEPTH_LIMIT and all(
        0 < len(part.encode()) <= _NAME_LIMIT
        and part[0] not in ". ~-"
        and part[-1] not in ". "
        and not set(part) & set('\\:*?"<>|')
        for part in parts
    )


def _listed(names: list[str]) -> str:
    """Some of `names`, in order, and how many more there are."""
    shown = ", ".join(dict.fromkeys(names[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
