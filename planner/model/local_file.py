"""Opens files that may be hostile: regular ones only, inside their own folder, of bounded size.

Model layer; used by the readers of configs and checkpoints. Nothing is read before the checks.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from planner.errors import FileError
from planner.units import MIB

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe put there after the check must not block us
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """`path` opened for reading, and its bytes.

    A symbolic link is followed within the folder `path` lies in, and from `snapshots/REVISION` to
    `blobs` of one model in a Hugging Face cache, where every file is such a link.

    Raises:
        FileError: no such file, no regular file, a link out of the folder, or no permission.
    """
    target = _inside(path)
    try:
        descriptor = os.open(target, _FLAGS)
    except OSError as error:
        raise _cannot(path, error) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _require_regular(path, status.st_mode)
        yield file, status.st_size


def read_whole(path: Path, limit: int) -> bytes:
    """All bytes of `path`.

    Raises:
        FileError: as `open_regular`, or more than `limit` bytes; then nothing was read.
    """
    with open_regular(path) as (file, size):
        if size > limit:
            raise FileError(
                f"{path} has {size:,} bytes; such a file has at most {limit // MIB} MiB",
                hint="check that this is the file you meant",
            )
        try:
            return file.read(limit + 1)[:limit]
        except OSError as error:
            raise _cannot(path, error) from error


def refuse_pointer(start: bytes, where: str) -> None:
    """Refuses what Git LFS leaves in place of a file; `start` is its first 8 bytes or more.

    Raises:
        FileError: it is such a pointer.
    """
    if start.startswith(b"version "):
        raise FileError(f"{where} is a Git LFS pointer", hint="fetch the file: 'git lfs pull'")


def _inside(path: Path) -> Path:
    """Where `path` leads, checked to be a regular file of its own folder."""
    try:
        folder = path.parent.resolve(strict=True)
        target = (folder / path.name).resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise _cannot(path, error) from error
    homes = [folder]
    if folder.parent.name == "snapshots":
        homes.append(folder.parent.parent / "blobs")
    if not any(target.is_relative_to(home) for home in homes):
        raise FileError(
            f"{path} is a link to a file outside its folder",
            hint="copy the file itself into the folder",
        )
    _require_regular(path, mode)
    return target


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise FileError(f"{path} is {kind}, not a file", hint="give a file on disk")


def _cannot(path: Path, error: Exception) -> FileError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return FileError(f"cannot read {path}: {reason}", hint="check the path and its permissions")
