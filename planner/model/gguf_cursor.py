"""Reads little-endian values of a GGUF file one after another, never past its end.

Model layer. A file may claim any length: nothing is allocated or walked before the claim was
checked against what is left of the file and against limits no real header reaches.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

from planner.errors import FileError
from planner.units import KIB, MIB

CHUNK_BYTES = 64 * KIB
"""Bytes read at a time."""
KEPT_ITEMS = 1024
"""Items of the longest array that is kept; of longer ones, length and type are."""

LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "bytes of header": 256 * MIB,
        "bytes of text": 8 * MIB,
        "items of arrays": 262_144,
        "strings": 2_000_000,
        "metadata keys": 16_384,
        "tensors": 32_768,
    }
)
"""What is read of one model at most, all parts together. The largest published headers have some
30 MB, mostly 800,000 strings of tokens and merges, 80 keys, 40 KB of text and 2,000 tensors."""

_UINT64 = struct.Struct("<Q")
_STRING, _ARRAY, _BOOL = 8, 9, 7

Scalar = int | float | bool | str


class _Number(NamedTuple):
    """How one number type is stored."""

    name: str
    layout: struct.Struct


_NUMBERS = MappingProxyType(
    {
        0: _Number("uint8", struct.Struct("<B")),
        1: _Number("int8", struct.Struct("<b")),
        2: _Number("uint16", struct.Struct("<H")),
        3: _Number("int16", struct.Struct("<h")),
        4: _Number("uint32", struct.Struct("<I")),
        5: _Number("int32", struct.Struct("<i")),
        6: _Number("float32", struct.Struct("<f")),
        _BOOL: _Number("bool", struct.Struct("<?")),
        10: _Number("uint64", _UINT64),
        11: _Number("int64", struct.Struct("<q")),
        12: _Number("float64", struct.Struct("<d")),
    }
)
"""Value type numbers. Source: gguf_metadata_value_type, ggml-org/ggml docs/gguf.md."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An array too long to keep."""

    type: str
    """Of its items, e.g. `string`."""
    count: int


MetadataValue = Scalar | tuple[Scalar, ...] | Skipped


class Budget:
    """What may still be read of one model."""

    def __init__(self) -> None:
        self._left = dict(LIMITS)

    def allows(self, what: str, amount: int) -> bool:
        """Takes `amount` of `what` off; whether that much was left."""
        self._left[what] -= amount
        return self._left[what] >= 0


class Readable(Protocol):
    """What is read here: a file, or the part of one that has been fetched."""

    def seek(self, position: int, /) -> object:
        """Goes to `position` for the next `read`."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes; fewer only at the end."""


class Cursor:
    """A place in an open file of known size."""

    def __init__(self, file: Readable, size: int, where: str, budget: Budget) -> None:
        self.size = size
        self.where = where
        self._file = file
        self._chunk = b""
        self._start = 0  # of the chunk within the file
        self._at = 0  # within the chunk
        self._budget = budget

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    def bad(self, what: str) -> FileError:
        """The error that says `what` is wrong with this file."""
        return FileError(
            f"{self.where} is no readable GGUF file: {what}", hint="download the file again"
        )

    def spend(self, what: str, amount: int) -> None:
        """Counts `amount` of `what` against the limits.

        Raises:
            FileError: it is more than any real model has.
        """
        if not self._budget.allows(what, amount):
            raise self.bad(f"more than {LIMITS[what]:,} {what} by byte {self.position:,}")

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes, which hold `what`.

        Raises:
            FileError: the file ends before.
        """
        at = self._at
        data = self._chunk[at : at + count]
        if len(data) == count:
            self._at = at + count
            return data
        self._require(count, what)
        self._move(self.position, max(count, CHUNK_BYTES))
        data = self._chunk[:count]
        if len(data) < count:
            raise self._ended(what)
        self._at = count
        return data

    def uint32(self, what: str) -> int:
        """The next four bytes."""
        return int.from_bytes(self.take(4, what), "little")

    def uint64(self, what: str) -> int:
        """The next eight bytes."""
        return int.from_bytes(self.take(8, what), "little")

    def uint64s(self, count: int, what: str) -> tuple[int, ...]:
        """The next `count` times eight bytes."""
        return struct.unpack(f"<{count}Q", self.take(8 * count, what))

    def name(self, limit: int, what: str) -> str:
        """The next string, printable and of 1 to `limit` bytes.

        Raises:
            FileError: it is none.
        """
        length = self.uint64(what)
        if not 0 < length <= limit:
            raise self.bad(f"{what} of {length:,} bytes at byte {self.position:,}")
        self.spend("bytes of text", length)
        data = self.take(length, what)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = ""
        if not text.isprintable() or not text:
            raise self.bad(f"{what} that is no printable text: {data[:60]!r}")
        return text

    def value(self, key: str) -> MetadataValue:
        """The next metadata value, which belongs to `key`.

        Raises:
            FileError: it is cut off, of an unknown type, or larger than any real one.
        """
        kind = self.uint32(f"the type of {key!r}")
        if kind == _ARRAY:
            return self._array(key)
        if kind == _STRING:
            return self._string(key)
        number = self._number(kind, key)
        value: Scalar = number.layout.unpack(self.take(number.layout.size, repr(key)))[0]
        return value

    def _array(self, key: str) -> MetadataValue:
        kind = self.uint32(f"the type of {key!r}")
        count = self.uint64(f"the length of {key!r}")
        if kind == _ARRAY:
            raise self.bad(f"{key!r} is an array of arrays")
        if kind == _STRING:
            self._require(count * _UINT64.size, f"{count:,} strings of {key!r}")
            if count <= KEPT_ITEMS:
                self.spend("items of arrays", count)
                return tuple(self._string(key) for _ in range(count))
            self._skip_strings(count, key)
            return Skipped("string", count)
        number = self._number(kind, key)
        what = f"{count:,} items of {key!r}"
        self._require(count * number.layout.size, what)
        if count > KEPT_ITEMS:
            self._skip(count * number.layout.size)
            return Skipped(number.name, count)
        self.spend("items of arrays", count)
        data = self.take(count * number.layout.size, what)
        return tuple(items[0] for items in number.layout.iter_unpack(data))

    def _number(self, kind: int, key: str) -> _Number:
        number = _NUMBERS.get(kind)
        if number is None:
            raise self.bad(f"{key!r} has a value of unknown type {kind}")
        return number

    def _string(self, key: str) -> str:
        what = f"the text of {key!r}"
        length = self.uint64(what)
        self._require(length, what)
        self.spend("bytes of text", length)
        return self.take(length, what).decode(errors="replace")

    def _skip_strings(self, count: int, key: str) -> None:
        """Walks over `count` strings by their lengths."""
        self.spend("strings", count)
        what, unpack = f"the strings of {key!r}", _UINT64.unpack_from
        while count:
            self._require(_UINT64.size, what)
            chunk, at = self._chunk, self._at
            last = len(chunk) - _UINT64.size
            while count and at <= last:
                at += _UINT64.size + unpack(chunk, at)[0]
                count -= 1
            if self._start + at > self.size:
                raise self._ended(what)
            if count:
                self._move(self._start + at, CHUNK_BYTES)
                if len(self._chunk) < _UINT64.size:
                    raise self._ended(what)
            else:
                self._at = at
        self._skip(0)

    def _skip(self, count: int) -> None:
        """Goes on by `count` bytes, which the file has."""
        self._at += count
        if self._at > len(self._chunk):
            self._move(self.position, CHUNK_BYTES)

    def _require(self, count: int, what: str) -> None:
        if count > self.size - self.position:
            raise self._ended(what)

    def _ended(self, what: str) -> FileError:
        return self.bad(f"it ends at byte {self.size:,}, within {what}")

    def _move(self, position: int, count: int) -> None:
        """Goes to `position`, which lies in the file, and reads `count` bytes there."""
        count = min(count, self.size - position)
        self.spend("bytes of header", count)
        try:
            self._file.seek(position)
            self._chunk = self._file.read(count)
        except OSError as error:
            raise FileError(
                f"cannot read {self.where}: {error.strerror}", hint="check the disk it lies on"
            ) from error
        self._start, self._at = position, 0


def integers(value: MetadataValue | None) -> Sequence[int] | None:
    """The whole numbers of an array, of one number as well; None where it is neither."""
    items = value if isinstance(value, tuple) else (value,)
    numbers = [item for item in items if type(item) is int]
    return numbers if len(numbers) == len(items) else None
