"""Progress shows on a terminal only, and not in the first second."""

from __future__ import annotations

import io
import time

from planner.cli.progress import Progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def terminal_for(monkeypatch):
    """Puts a terminal in stderr's place; not in a fixture, whose stderr pytest takes back."""
    file = Terminal()
    monkeypatch.setattr("sys.stderr", file)
    monkeypatch.setenv("TERM", "xterm-256color")
    return file


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_quick_answer_shows_nothing(monkeypatch):
    terminal = terminal_for(monkeypatch)
    with Progress() as progress:
        progress("working")
    assert terminal.getvalue() == ""


def test_a_slow_answer_shows_what_is_being_done_as_text(monkeypatch):
    terminal = terminal_for(monkeypatch)
    with Progress(delay=0) as progress:
        progress("[bold]lower bound[/] 5")
        wait_for(lambda: "[bold]lower bound[/] 5" in terminal.getvalue())
        progress("next")
        wait_for(lambda: "next" in terminal.getvalue())


def test_no_terminal_gets_no_progress(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with Progress(delay=0) as progress:
        progress("working")
        time.sleep(0.05)
    assert file.getvalue() == ""
