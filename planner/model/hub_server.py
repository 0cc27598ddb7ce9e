"""Asks a Hugging Face hub for lists and parts of files: bounded in bytes and time. Model layer.

Whatever a server sends is taken as hostile: lengths are checked against what was asked for, text
is never shown, and no request goes on for ever. The connection is that of `huggingface_hub`, which
is imported at the first request and not before.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from planner.errors import FileError, RequestError
from planner.units import GIB, MIB

DEFAULT_ENDPOINT = "https://huggingface.co"
_CONNECT_SECONDS = 4.0
_READ_SECONDS = 10.0  # between two pieces of an answer
_REQUEST_SECONDS = 120.0  # of one request in all
_TOTAL_LIMIT = GIB
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})")
_OK, _PARTIAL, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 206, 401, 403, 404
_TOO_MANY, _NO_SUCH_RANGE = 429, 416


def endpoint() -> str:
    """Where the hub is: `HF_ENDPOINT`, without a slash at its end.

    Raises:
        RequestError: it is no http address.
    """
    address = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not address.isprintable() or " " in address:
        raise RequestError(
            f"HF_ENDPOINT is {address[:100]!r}, no address of a hub",
            hint=f"unset it, or write it as {DEFAULT_ENDPOINT}",
        )
    return address


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of a file an answer carries."""

    start: int
    size: int | None
    """Bytes of the whole file; None where the server did not say."""
    body: Iterator[bytes]


class Server:
    """A hub, one repository of it, and what may still be read from it."""

    def __init__(self, repository: str) -> None:
        hub = _library()
        errors = importlib.import_module("huggingface_hub.errors")
        self.repository = repository
        self._address = endpoint()
        self._session: Any = hub.get_session()
        self._errors: tuple[type[Exception], ...] = (errors.HTTPError, OSError)
        token = hub.get_token()
        self._headers = {"accept-encoding": "identity", "user-agent": "gpu-deployment-planner"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._left = _TOTAL_LIMIT
        self._lock = threading.Lock()

    def listing(self, revision: str | None, limit: int) -> bytes:
        """The JSON text of what the repository holds; at most `limit` bytes.

        Raises:
            FileError: no such repository or revision, no access, no network, or too long.
        """
        url = f"{self._address}/api/models/{self.repository}"
        where = self.repository
        if revision is not None:
            url += f"/revision/{quote(revision, safe='')}"
            where += f" at {revision}"
        text = bytearray()
        with self.open(f"{url}?blobs=true", {}, where) as answer:
            for piece in answer.body:
                text += piece
                if len(text) > limit:
                    raise FileError(
                        f"{where}: the list of its files has more than {limit // MIB} MiB",
                        hint="download the files of the model and give their folder",
                    )
        return bytes(text)

    def address(self, path: str, commit: str) -> str:
        """Where the file `path` of the repository is."""
        return f"{self._address}/{self.repository}/resolve/{commit}/{quote(path)}"

    @contextlib.contextmanager
    def open(self, url: str, headers: Mapping[str, str], where: str) -> Iterator[Answer]:
        """The answer to one GET of `url`, which brings `where`.

        Raises:
            FileError: no connection, it broke or took too long, or the answer is no file.
        """
        headers = self._headers | dict(headers)
        seconds = (_CONNECT_SECONDS, _READ_SECONDS, _READ_SECONDS, _READ_SECONDS)
        try:
            with self._session.stream(
                "GET", url, headers=headers, timeout=seconds, follow_redirects=True
            ) as answer:
                self._check(answer, where)
                yield Answer(*_place(answer, where), self._pieces(answer, where))
        except self._errors as error:
            raise FileError(
                f"cannot fetch {where} from {self._address}: {type(error).__name__}",
                hint="check the network; HF_HUB_OFFLINE=1 takes what was fetched before; "
                "or give a config.json on disk",
            ) from error

    def _pieces(self, answer: Any, where: str) -> Iterator[bytes]:
        """What arrives, as it arrives."""
        latest = time.monotonic() + _REQUEST_SECONDS
        for piece in answer.iter_raw():
            with self._lock:
                self._left -= len(piece)
            if self._left < 0:
                raise FileError(
                    f"{where}: more than {_TOTAL_LIMIT // MIB} MiB of headers",
                    hint="download the files of the model and give their folder",
                )
            if time.monotonic() > latest:
                raise FileError(
                    f"{where} did not arrive within {_REQUEST_SECONDS:.0f} s",
                    hint="try again, or give a config.json or a file on disk",
                )
            yield piece

    def _check(self, answer: Any, where: str) -> None:
        """Refuses an answer that brings no file."""
        status = answer.status_code
        if status in (_OK, _PARTIAL, _NO_SUCH_RANGE):
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise FileError(
                    f"{self._address} sent {where} compressed", hint="use another HF_ENDPOINT"
                )
            return
        code = answer.headers.get("x-error-code")
        if code == "GatedRepo" or status == _FORBIDDEN:
            raise FileError(
                f"{where} is gated: its publisher lets in only accounts that asked",
                hint=f"ask at {self._address}/{self.repository}, then set HF_TOKEN",
            )
        if status == _UNAUTHORIZED:
            raise FileError(
                f"{where} does not exist on {self._address}, or is private or gated",
                hint="check the spelling; for a private or gated model set HF_TOKEN",
            )
        if status == _NOT_FOUND:
            raise FileError(
                f"{where} does not exist on {self._address}",
                hint="check the spelling of owner, name and revision",
            )
        wait = "wait a while and " if status == _TOO_MANY else ""
        raise FileError(
            f"{self._address} answered {status} for {where}",
            hint=f"{wait}try again, or give a config.json or a file on disk",
        )


def _place(answer: Any, where: str) -> tuple[int, int | None]:
    """The first byte an answer carries and the bytes of the whole file, by its head."""
    ranged = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    if answer.status_code == _NO_SUCH_RANGE:
        if ranged is None or int(ranged[3]):
            raise FileError(f"{where} cannot be read in parts", hint="download the file")
        return 0, 0
    if answer.status_code == _PARTIAL:
        if ranged is None or ranged[1] is None:
            raise FileError(
                f"the server did not say which part of {where} it sent",
                hint="use another HF_ENDPOINT",
            )
        return int(ranged[1]), int(ranged[3])
    length = answer.headers.get("content-length", "")
    known = length.isascii() and length.isdigit() and len(length) <= 18
    return 0, int(length) if known else None


def _library() -> Any:
    """`huggingface_hub`, imported now."""
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise FileError(
            "reading a model from the hub needs the package huggingface_hub",
            hint="pip install 'gpu-deployment-planner[hub]', or give a config.json on disk",
        ) from error
