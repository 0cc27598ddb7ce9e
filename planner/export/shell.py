"""Text that is safe in a POSIX shell script, whatever a plan file says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def one_line(text: str) -> str:
    """`text` with every unprintable character, line breaks included, replaced by `?`."""
    return "".join(char if char.isprintable() else "?" for char in text)


def comment(*lines: str) -> str:
    """Each of `lines` as one comment line, whatever is in it."""
    return "\n".join(f"# {one_line(line)}".rstrip() for line in lines)


def assignment(name: str, value: str) -> str:
    """`NAME=value`, quoted where it must be."""
    return f"{name}={shlex.quote(value) if value else ''}"


def command(words: Sequence[str]) -> str:
    """Words of a command line, quoted where they must be."""
    return " ".join(shlex.quote(word) for word in words)


def expanded(words: Sequence[str]) -> str:
    """Words of this program, in which `$NAME` stands for a variable of the script."""
    return " ".join(f'"{word}"' if "$" in word else shlex.quote(word) for word in words)
