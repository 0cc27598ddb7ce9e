"""The options of an argparse parser, as the tables in `tests/reality` write them."""

from __future__ import annotations

import argparse

Option = dict[str, str]
"""Spellings, number of values and choices."""


def options(parser: argparse.ArgumentParser) -> list[Option]:
    """Every option of a parser; what has no dashes is left out."""
    return [
        {
            "flags": " ".join(action.option_strings),
            "values": "1" if action.nargs is None else str(action.nargs),
            "choices": " ".join(sorted(map(_word, action.choices or ()))),
        }
        for action in parser._actions
        if action.option_strings
    ]


def _word(choice: object) -> str:
    return "null" if choice is None else str(choice)
