"""The beginning of a file on a hub, copied to disk as far as a reader asks for it. Model layer.

Lengths are those the server states, checked against what was asked for and what arrives.
"""

from __future__ import annotations

from typing import BinaryIO

from planner.errors import FileError
from planner.model.hub_server import Answer, Server
from planner.units import GIB, KIB, MIB

FIRST_BYTES = 64 * KIB
"""Bytes of a file asked for at first: most safetensors headers are shorter."""

HEADER_LIMIT = 80 * MIB
"""Bytes read of one file: an index has no more, nor the header of a safetensors file; GGUF headers
stay below half of it."""

_FILE_LIMIT = 16 * 1024 * GIB


class RemoteFile:
    """A file on a server, its first bytes copied to disk as they are asked for.

    `seek` and `read` are those of a file, so a reader of headers can walk over it.
    """

    def __init__(self, server: Server, path: str, commit: str, copy: BinaryIO) -> None:
        self.where = f"{server.repository}/{path}"
        self.fetched = 0
        """Bytes that are on disk."""
        self._server, self._copy = server, copy
        self._url = server.address(path, commit)
        self._size: int | None = None
        self._position = 0

    @property
    def size(self) -> int:
        """Bytes of the whole file; fetches the first ones where need be.

        Raises:
            FileError: as `require`.
        """
        if self._size is None:
            self._fetch(FIRST_BYTES)
        if self._size is None:
            raise FileError(
                f"the server did not say how long {self.where} is", hint="use another HF_ENDPOINT"
            )
        return self._size

    def require(self, count: int) -> None:
        """Fetches the first `count` bytes, or all there are.

        Raises:
            FileError: more than any header has, or the server does not send them.
        """
        count = min(count, self.size)
        if count > HEADER_LIMIT:
            raise FileError(
                f"{self.where} has more than {HEADER_LIMIT // MIB} MiB before its data",
                hint="download the file and give its path",
            )
        if count > self.fetched:
            self._fetch(count)

    def seek(self, position: int) -> None:
        """Goes to `position` for the next `read`."""
        self._position = position

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from where `seek` went; fetches ever more at a time."""
        end = self._position + count
        if end > self.fetched:
            grown = max(MIB, 2 * self.fetched)
            self.require(max(end, min(grown, HEADER_LIMIT)))
        self._copy.seek(self._position)
        data = self._copy.read(count)
        self._position += len(data)
        return data

    def _fetch(self, end: int) -> None:
        ranged = {"range": f"bytes={self.fetched}-{end - 1}"}
        with self._server.open(self._url, ranged, self.where) as answer:
            self._take(answer, end)

    def _take(self, answer: Answer, end: int) -> None:
        """Copies what `answer` has of the bytes up to `end`."""
        size = answer.size
        if size is not None and (size > _FILE_LIMIT or self._size not in (None, size)):
            raise self._bad(f"is said to have {size:,} bytes")
        if size is not None:
            self._size, end = size, min(end, size)
        position = answer.start
        if position not in (0, self.fetched):
            raise self._bad(f"was sent from byte {position:,}, not {self.fetched:,}")
        for piece in answer.body:
            kept = piece[max(0, self.fetched - position) : max(0, end - position)]
            position += len(piece)
            _write(self._copy, self.fetched, kept, self.where)
            self.fetched += len(kept)
            if self.fetched >= end:
                return
        if size is None:
            self._size = end = position
        if self.fetched < end:
            raise self._bad(f"ended at byte {self.fetched:,} of {end:,} asked for")

    def _bad(self, what: str) -> FileError:
        return FileError(
            f"{self.where} {what}", hint="try again; the connection or the server is at fault"
        )


def _write(copy: BinaryIO, position: int, data: bytes, where: str) -> None:
    try:
        copy.seek(position)
        copy.write(data)
    except OSError as error:
        raise FileError(
            f"cannot keep {where}: {error.strerror}", hint="check the disk the cache lies on"
        ) from error
