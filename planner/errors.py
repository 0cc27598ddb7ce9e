"""Every way the planner says no: what, where, the value, and the next step. Lowest layer.

An infeasible request is not an error but an answer (`planner.plan.Infeasible`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlannerError(Exception):
    """One clear message, an optional hint and the exit code of the command line."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RequestError(PlannerError):
    """The request itself is wrong."""

    exit_code = 2


class BadQuantity(RequestError):
    """A size, rate, duration or count that cannot be read or makes no sense."""


class ConflictingOptions(RequestError):
    """Two options that cannot both hold."""


class UnknownName(RequestError):
    """A name no catalog row has."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.near = near_names(name, known)
        self.name = name
        if self.near:
            hint = "did you mean " + " or ".join(f"'{near}'" for near in self.near) + "?"
        super().__init__(f"unknown {kind} '{name}'", hint=hint or f"'plan {kind}s' lists them")


class CatalogError(PlannerError):
    """A catalog file that cannot be read or breaks a rule; names file, table and field."""


class FactsError(PlannerError):
    """A fact about a model that is missing or that we do not understand."""


class UnsupportedArchitecture(FactsError):
    """A network with a mechanism we have no rules for."""


class EngineError(PlannerError):
    """An engine that cannot do, or cannot express, what is asked of it."""


class IllegalLayout(EngineError):
    """A layout the engine refuses: the answer to "can it run so" is no."""

    exit_code = 1


class FileError(PlannerError):
    """A file that cannot be read, written or understood."""


def near_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names nearest to `name`, best first, ignoring case and `-_./`."""

    def fold(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(fold(candidate), candidate)
    matches = difflib.get_close_matches(fold(name), list(folded), n=count, cutoff=0.6)
    return [folded[match] for match in matches]
