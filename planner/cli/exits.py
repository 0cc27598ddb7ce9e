"""Exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code says."""

    YES = 0
    """The answer is there, and it is yes."""
    NO = 1
    """The answer is no: infeasible, does not fit, rejected."""
    USAGE = 2
    """The command line is wrong."""
    INPUT = 3
    """A catalog, fact, file or engine is the trouble."""
    TIME_LIMIT = 4
    """The time limit came first; the best plan so far is printed with its gap."""
    INTERRUPTED = 130
    """Ctrl-C."""
    PIPE_CLOSED = 141
    """Whoever read the output stopped reading."""
