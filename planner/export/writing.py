"""Writes a set of files into a folder: all new ones, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from planner.errors import FileError

SCRIPT_MODE = 0o755
FILE_MODE = 0o644


def write_files(directory: Path, texts: Mapping[str, str], *, force: bool) -> tuple[Path, ...]:
    """Writes each text under its name into `directory`; `.sh` files become executable.

    Raises:
        FileError: a file is there already and `force` is not given (then none is written), or
            the folder or a file cannot be written.
    """
    paths = {directory / name: text for name, text in texts.items()}
    if not force:
        for path in paths:
            if path.exists() or path.is_symlink():
                raise FileError(f"{path} exists", hint="choose another folder, or add --force")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            path.chmod(SCRIPT_MODE if path.suffix == ".sh" else FILE_MODE)
    except OSError as error:
        raise FileError(
            f"cannot write {error.filename}: {error.strerror}", hint="choose another folder for -o"
        ) from error
    return tuple(paths)
