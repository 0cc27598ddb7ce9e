"""A model on a Hugging Face hub, read by its headers only. Model layer; the extra `hub`.

Of a checkpoint, `config.json` and the index are fetched whole and of each safetensors file only
its header; of a GGUF model only the header of each part. The copies have the names of the files
and are read as these: what a safetensors header describes is a hole in the copy, a GGUF copy ends
before its data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from planner.errors import FileError, RequestError
from planner.model.checkpoint_index import INDEX, INDEX_LIMIT, read_index
from planner.model.config_file import CONFIG_LIMIT
from planner.model.gguf_cursor import Budget, Cursor
from planner.model.gguf_header import parse_header
from planner.model.hub_cache import RepositoryCache, written
from planner.model.hub_files import (
    FILES_LIMIT,
    LISTING_LIMIT,
    Listing,
    checkpoint_files,
    choose_gguf,
    gguf_choices,
    parse_listing,
)
from planner.model.hub_remote import RemoteFile
from planner.model.hub_server import Server, endpoint
from planner.model.safetensors import LENGTH_BYTES, header_length
from planner.units import MIB

Copy = Callable[[RemoteFile], tuple[int, int]]
"""Fetches what is needed of a file; returns the bytes of it to keep, and those its copy has with
the hole after them."""

_CONNECTIONS = 8
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_NAME = re.compile(
    rf"(?P<repository>{_NAME}/{_NAME})(?:@(?P<revision>[^:@]+))?(?::(?P<file>.+))?"
)
_FILES = (".gguf", ".json", ".safetensors", ".toml")
_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}")


@dataclass(frozen=True, slots=True)
class HubName:
    """What `owner/name@revision:file` says."""

    repository: str
    """`owner/name`"""
    revision: str | None = None
    """A branch, tag or commit; None for the main branch."""
    file: str | None = None
    """A GGUF file of it, or its quantization."""


def parse_hub_name(text: str) -> HubName | None:
    """`text` as the name of a model on a hub; None if it is none, or the path of a file."""
    found = _HUB_NAME.fullmatch(text)
    if found is None or not text.isprintable() or found["repository"].endswith(_FILES):
        return None
    return HubName(found["repository"], found["revision"], found["file"])


def fetch_model(repo_id: str, *, revision: str | None = None, file: str | None = None) -> Path:
    """A local copy of what describes the model `repo_id`: a folder, or a `.gguf` file (part 1).

    One request asks which commit `revision` is at; what was fetched of that commit is not fetched
    again. With `HF_HUB_OFFLINE=1` nothing is asked.

    Args:
        repo_id: `owner/name`.
        revision: branch, tag or commit; the main branch by default.
        file: for GGUF, a quantization (`Q4_K_M`) or a file name; needed where there are several.

    Raises:
        RequestError: no name of a repository, or no or several GGUF models fit.
        FileError: not found, gated, no network, not in the cache, the extra is not installed, or
            what the server sends is no model.
    """
    if not _REPOSITORY.fullmatch(repo_id) or ".." in repo_id:
        raise RequestError(f"{repo_id[:100]!r} is no name on a hub", hint="write it as owner/name")
    cache = RepositoryCache(endpoint(), repo_id)
    if _offline():
        server = None
        listing = cache.listing(revision)
        if listing is None:
            raise _not_cached(repo_id)
    else:
        server = Server(repo_id)
        listing = parse_listing(server.listing(revision, LISTING_LIMIT), repo_id)
        cache.keep(revision, listing)
    download = _Download(server, repo_id, listing, cache.commit(listing))
    whole, headers = checkpoint_files(listing)
    choices = gguf_choices(listing, repo_id)
    if file is not None or (choices and not headers):
        return download.gguf(choose_gguf(choices, file, repo_id).files)
    if not whole:
        raise FileError(
            f"{repo_id} has neither a config.json nor GGUF files",
            hint="give a repository with the model itself",
        )
    return download.checkpoint(whole, headers)


@dataclass(frozen=True, slots=True)
class _Download:
    """Fetches files of one commit into its folder, unless they are there."""

    server: Server | None
    """None where only what is there may be taken."""
    repository: str
    listing: Listing
    folder: Path

    def checkpoint(self, whole: tuple[str, ...], headers: tuple[str, ...]) -> Path:
        """The folder, with these files whole and of these the headers."""
        for file in whole:
            self._one(file, _copy_index if file == INDEX else _copy_config)
        if INDEX in whole:
            index = read_index(self.folder / INDEX, frozenset(headers))
            headers = tuple(sorted(set(index.files.values())))
        self._all(headers, _copy_safetensors_header)
        return self.folder

    def gguf(self, files: tuple[str, ...]) -> Path:
        """The first of the files, with all of their headers beside it."""
        self._all(files, _copy_gguf_header)
        return self.folder / files[0]

    def _all(self, files: tuple[str, ...], copy: Copy) -> None:
        if len(files) > FILES_LIMIT:
            raise FileError(
                f"{self.repository} has {len(files):,} files; a model has at most {FILES_LIMIT:,}",
                hint="give a repository of one model",
            )
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            tasks = [pool.submit(self._one, file, copy) for file in files]
            try:
                for task in tasks:
                    task.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _one(self, file: str, copy: Copy) -> None:
        """Fetches `file` as `copy` does."""
        path = self.folder / file
        if path.is_file():
            return
        if self.server is None:
            raise _not_cached(f"{self.repository}/{file}")
        with written(path) as target:
            kept, size = copy(RemoteFile(self.server, file, self.listing.commit, target))
            target.truncate(kept)
            target.truncate(size)


def _copy_config(remote: RemoteFile) -> tuple[int, int]:
    return _copy_whole(remote, CONFIG_LIMIT)


def _copy_index(remote: RemoteFile) -> tuple[int, int]:
    return _copy_whole(remote, INDEX_LIMIT)


def _copy_whole(remote: RemoteFile, limit: int) -> tuple[int, int]:
    if remote.size > limit:
        raise FileError(
            f"{remote.where} has {remote.size:,} bytes; such a file has at most {limit // MIB} MiB",
            hint="download the model and give its folder",
        )
    remote.require(remote.size)
    return remote.size, remote.size


def _copy_safetensors_header(remote: RemoteFile) -> tuple[int, int]:
    size = remote.size
    end = LENGTH_BYTES + header_length(remote.read(LENGTH_BYTES), size, remote.where)
    remote.require(end)
    return end, size


def _copy_gguf_header(remote: RemoteFile) -> tuple[int, int]:
    cursor = Cursor(remote, remote.size, remote.where, Budget())
    header = parse_header(cursor, remote.where)
    if not header.data_complete:
        raise FileError(
            f"{remote.where} is cut off: its tensors do not fit in {remote.size:,} bytes",
            hint="take the file from another publisher",
        )
    start = header.tensors[0].offset if header.tensors else cursor.position
    end = min(start, remote.fetched)
    return end, end


def _offline() -> bool:
    """Whether the user forbids the network, by the variables `huggingface_hub` reads."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


def _not_cached(what: str) -> FileError:
    return FileError(
        f"{what} was not fetched before, and HF_HUB_OFFLINE forbids to fetch it",
        hint="unset HF_HUB_OFFLINE, or give a config.json or a file on disk",
    )
