"""The base of every value: immutable, closed, self-describing. Lowest layer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Base of every value: frozen, no unknown fields, fields described by their docstrings."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,
    )


class Range(Value):
    """One estimate in three cases; `low` is always the pessimist's, whatever the unit."""

    low: float
    best: float
    high: float

    def scaled(self, factor: float) -> Range:
        """Each case times `factor`."""
        return Range(low=self.low * factor, best=self.best * factor, high=self.high * factor)

    def inverted(self) -> Range:
        """1/x of each case: seconds per token to tokens per second and back."""
        return Range(low=1 / self.low, best=1 / self.best, high=1 / self.high)

    def __add__(self, other: Range) -> Range:
        return Range(
            low=self.low + other.low, best=self.best + other.best, high=self.high + other.high
        )
