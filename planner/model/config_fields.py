"""Typed look-ups in one config.json, with errors that name the field.

Model layer. Remembers which fields were asked for, so that a reader can tell what is left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.errors import UnsupportedArchitecture

Config = Mapping[str, Any]

LARGEST = 2**31 - 1
"""What a field may be: engines and files keep such numbers in 32 bits."""

_TAKE = "take the config.json the publisher ships"


class Fields:
    """The fields of one config."""

    __slots__ = ("_config", "asked")

    asked: set[str]
    """Every field looked up so far."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.asked = set()

    def __contains__(self, field: str) -> bool:
        return self._value(field) is not None

    def count(self, *fields: str, default: int | None = None) -> int:
        """The first given field, a positive whole number; `default` where none is given."""
        self.asked.update(fields)
        for field in fields:
            value = self._value(field)
            if value is not None:
                return _positive(field, value)
        if default is None:
            raise UnsupportedArchitecture(
                "config has no " + " or ".join(f"'{field}'" for field in fields),
                hint="take the whole config.json the publisher ships",
            )
        return default

    def optional(self, *fields: str) -> int | None:
        """As `count`, None where no field is given or its value is 0."""
        self.asked.update(fields)
        for field in fields:
            value = self._value(field)
            if value is not None and (value != 0 or isinstance(value, bool)):
                return _positive(field, value)
        return None

    def count_or_zero(self, field: str) -> int:
        """As `count`, where 0 may be given."""
        return 0 if self._value(field) == 0 else self.count(field)

    def alike(self, *fields: str, default: int | None = None) -> int:
        """As `count`, where a list with one number per layer will do if all are the same."""
        for field in fields:
            value = self._value(field)
            if isinstance(value, list) and value and all(one == value[0] for one in value):
                return _positive(field, value[0])
        return self.count(*fields, default=default)

    def number(self, field: str) -> float:
        """A number above 0."""
        value = self._value(field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
            raise UnsupportedArchitecture(
                f"config field '{field}' is {value!r}, not a number above 0", hint=_TAKE
            )
        return float(value)

    def flag(self, *fields: str, default: bool) -> bool:
        """The first given yes or no."""
        self.asked.update(fields)
        for field in fields:
            value = self._value(field)
            if value is not None:
                return bool(value)
        return default

    def text(self, field: str) -> str:
        """A word; empty where not given."""
        return str(self._value(field) or "")

    def items(self, field: str) -> tuple[Any, ...]:
        """A list; empty where not given or no list."""
        value = self._value(field)
        return tuple(value) if isinstance(value, (list, tuple)) else ()

    def per_layer(self, field: str, depth: int) -> tuple[Any, ...]:
        """A list with an entry for each layer; empty where not given."""
        found = self.items(field)
        if found and len(found) < depth:
            raise UnsupportedArchitecture(
                f"config field '{field}' has {len(found)} entries for {depth} layers", hint=_TAKE
            )
        return found[:depth]

    def fields(self, field: str) -> dict[str, Any]:
        """A nested object as it is; empty where not given."""
        return dict(self.mapping(field))

    def section(self, field: str) -> Fields:
        """A nested object; empty where not given."""
        return Fields(self.mapping(field))

    def mapping(self, field: str) -> Mapping[str, Any]:
        """A nested object whose keys are no fixed names; empty where not given."""
        value = self._value(field)
        return value if isinstance(value, Mapping) else {}

    def raw(self, field: str) -> Any:
        """Whatever is given; None where nothing is."""
        return self._value(field)

    def overlaid(self, own: Any) -> Fields:
        """The same with the fields of `own` in front; the look-ups are remembered here."""
        if not isinstance(own, Mapping) or not own:
            return self
        found = Fields({**self._config, **own})
        found.asked = self.asked
        return found

    def left_over(self) -> list[str]:
        """Fields with a value that nobody asked for, by name."""
        return sorted(
            field
            for field, value in self._config.items()
            if field not in self.asked and value not in (None, False, 0, "", [], {})
        )

    def _value(self, field: str) -> Any:
        self.asked.add(field)
        return self._config.get(field)


def _positive(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UnsupportedArchitecture(
            f"config field '{field}' is {repr(value)[:60]}, not a positive whole number",
            hint=_TAKE,
        )
    if value > LARGEST:
        raise UnsupportedArchitecture(
            f"config field '{field}' is {str(value)[:60]}; engines count to {LARGEST:,}",
            hint=_TAKE,
        )
    return value
