"""Module names and patterns in the quantization a config declares. Model layer."""

from __future__ import annotations

from planner.errors import FactsError
from planner.model.config_fields import Fields
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.scheme import Rule, rule


def module_list(read: Fields, *fields: str) -> tuple[str, ...]:
    """The module names all these fields list together.

    Raises:
        FactsError: an entry that is no name.
    """
    names = tuple(name for field in fields for name in read.items(field))
    odd = [name for name in names if not isinstance(name, str) or not name]
    if odd:
        raise FactsError(
            f"config field '{fields[0]}' lists {odd[0]!r}, not a module's name",
            hint="take the config.json the publisher ships",
        )
    return names


def left_out(read: Fields, *fields: str) -> tuple[Rule, ...]:
    """The rule for modules that are not quantized."""
    names = module_list(read, *fields)
    return (named(None, names),) if names else ()


def named(form: Format | None, names: tuple[str, ...]) -> Rule:
    """The rule for modules by name, name with `*`, or `re:` and a pattern."""
    return rule(
        form,
        names=[name for name in names if "*" not in name and not name.startswith("re:")],
        globs=[name for name in names if "*" in name and not name.startswith("re:")],
        patterns=[name.removeprefix("re:") for name in names if name.startswith("re:")],
    )
