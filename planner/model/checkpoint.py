"""A folder of safetensors files as one checkpoint: every tensor, and whether all shards are there.

Model layer. Which files belong to it: those the index names; without an index `model.safetensors`;
without that, every `*.safetensors` of the folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from planner.errors import FileError
from planner.model.checkpoint_index import INDEX, read_index
from planner.model.safetensors import StoredTensor, read_header

_SINGLE = "model.safetensors"
_SHARD = re.compile(r"(.{1,200})-(\d{4,6})-of-(\d{4,6})\.safetensors")
_FILES_LIMIT = 10_000
_TENSORS_LIMIT = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The tensors of a checkpoint folder, and what does not match its index."""

    folder: Path
    files: tuple[str, ...]
    """Names of the files read, in order."""
    tensors: tuple[StoredTensor, ...]
    """By file, then by place in it."""
    extra_tensors: tuple[str, ...] = ()
    """Names of tensors the files have and the index does not; counted in the totals."""
    extra_files: tuple[str, ...] = ()
    """Names of safetensors files of the folder that do not belong to the checkpoint; not read."""
    stated_bytes: int | None = None
    """`metadata.total_size` of the index; publishers count it in different ways."""

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, headers not counted."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def elements(self) -> int:
        """Elements of all tensors as stored."""
        return sum(tensor.elements for tensor in self.tensors)

    def bytes_by_dtype(self) -> dict[str, int]:
        """Bytes of each dtype there is, most first."""
        return _totals((tensor.dtype, tensor.bytes) for tensor in self.tensors)

    def elements_by_dtype(self) -> dict[str, int]:
        """Elements of each dtype there is, most first."""
        return _totals((tensor.dtype, tensor.elements) for tensor in self.tensors)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`, from the headers of its files.

    Raises:
        FileError: no safetensors files, a missing or broken one, a tensor in two files, or an
            index that names tensors the files do not have.
    """
    present = _present(folder)
    if INDEX in present:
        return _indexed(folder, present)
    if _SINGLE in present:
        files: tuple[str, ...] = (_SINGLE,)
    else:
        files = tuple(name for name in present if name.endswith(".safetensors"))
    if not files:
        raise FileError(
            f"no safetensors files in {folder}",
            hint="give the folder that has config.json and *.safetensors",
        )
    _require_all_shards(folder, files)
    return Checkpoint(
        folder=folder,
        files=files,
        tensors=_read(folder, files),
        extra_files=_others(present, files),
    )


def _present(folder: Path) -> tuple[str, ...]:
    """Names of the index and the safetensors files of the folder, sorted."""
    try:
        found = [
            entry.name
            for entry in folder.iterdir()
            if entry.name.endswith(".safetensors") or entry.name == INDEX
        ]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileError(
            f"cannot read the folder {folder}: {reason}", hint="give the checkpoint's folder"
        ) from error
    if len(found) > _FILES_LIMIT:
        raise FileError(
            f"{folder} has {len(found):,} safetensors files; one checkpoint has at most "
            f"{_FILES_LIMIT:,}",
            hint="give the folder of one checkpoint",
        )
    return tuple(sorted(found))


def _indexed(folder: Path, present: tuple[str, ...]) -> Checkpoint:
    index = read_index(folder / INDEX, frozenset(present))
    files = tuple(sorted(set(index.files.values())))
    tensors = _read(folder, files)
    at = {tensor.name: tensor.file for tensor in tensors}
    for name, file in index.files.items():
        if at.get(name) != file:
            where = f"is in {at[name]}" if name in at else "is in none of the files"
            raise FileError(
                f"{folder / INDEX} has {name!r} in {file}; it {where}",
                hint="download the index and the files again, of one revision",
            )
    return Checkpoint(
        folder=folder,
        files=files,
        tensors=tensors,
        extra_tensors=tuple(tensor.name for tensor in tensors if tensor.name not in index.files),
        extra_files=_others(present, files),
        stated_bytes=index.stated_bytes,
    )


def _read(folder: Path, files: tuple[str, ...]) -> tuple[StoredTensor, ...]:
    tensors: list[StoredTensor] = []
    at: dict[str, str] = {}
    for file in files:
        for tensor in read_header(folder / file):
            other = at.setdefault(tensor.name, file)
            if other != file:
                raise FileError(
                    f"{folder}: {tensor.name!r} is in {other} and in {file}",
                    hint="keep the files of one checkpoint in the folder",
                )
            tensors.append(tensor)
        if len(tensors) > _TENSORS_LIMIT:
            raise FileError(
                f"{folder} has more than {_TENSORS_LIMIT:,} tensors",
                hint="give the folder of one checkpoint",
            )
    if not tensors:
        raise FileError(
            f"the safetensors files in {folder} have no tensors", hint="give another folder"
        )
    return tuple(tensors)


def _require_all_shards(folder: Path, files: tuple[str, ...]) -> None:
    """Refuses a folder where some of `NAME-00001-of-00005.safetensors` to the last are missing."""
    names = set(files)
    shards = [match for match in map(_SHARD.fullmatch, files) if match is not None]
    for base, width, count in sorted({(m[1], len(m[2]), m[3]) for m in shards}):
        if int(count) > _FILES_LIMIT:
            raise FileError(
                f"{folder} has a file of a checkpoint in {int(count):,} files; at most "
                f"{_FILES_LIMIT:,} are read",
                hint="name files NAME-00001-of-00005.safetensors only if they are shards",
            )
        for number in range(1, int(count) + 1):
            wanted = f"{base}-{number:0{width}}-of-{count}.safetensors"
            if wanted not in names:
                raise FileError(
                    f"{folder} lacks {wanted}", hint="the download is not complete: fetch that file"
                )


def _others(present: tuple[str, ...], files: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in present if name not in files and name != INDEX)


def _totals(parts: Iterator[tuple[str, int]]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for key, amount in parts:
        totals[key] += amount
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))
