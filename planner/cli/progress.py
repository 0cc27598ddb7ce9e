"""Says on stderr what the solver is doing: on a terminal only, and not in the first second."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status
    from rich.text import Text

DELAY = 1.0
"""Seconds before anything is shown."""


class Progress:
    """Call it with a line of text; leave it, and the line is gone."""

    def __init__(self, *, delay: float = DELAY) -> None:
        self._started = time.monotonic()
        self._text = "looking for plans"
        self._status: Status | None = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        if sys.stderr.isatty():
            self._timer = threading.Timer(delay, self._show)
            self._timer.daemon = True

    def __call__(self, text: str) -> None:
        """Shows `text` from now on."""
        with self._lock:
            self._text = text
            if self._status is not None:
                self._status.update(_literal(text))

    def __enter__(self) -> Progress:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._status is not None:
                self._status.stop()

    @property
    def elapsed(self) -> float:
        """Wall seconds since it was made."""
        return time.monotonic() - self._started

    def _show(self) -> None:
        from rich.console import Console
        from rich.status import Status

        with self._lock:
            if self._timer is None:
                return
            console = Console(stderr=True)
            self._status = Status(_literal(self._text), console=console)
            self._status.start()


def _literal(text: str) -> Text:
    """`text` as it is, never read as markup."""
    from rich.text import Text

    return Text(text)
