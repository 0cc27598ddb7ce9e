"""Keeps README and docs true: runs their console blocks and rewrites their generated parts.

`python -m docs.generate` rewrites the pages; with `--check` it only says which are out of date.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from docs import accuracy, console, interconnect, reference

PAGES = ("README.md", "docs/*.md", "examples/*.md")
GENERATED: dict[str, Callable[[], str]] = {
    "accuracy": accuracy.scoreboard,
    "calibration": accuracy.calibration,
    "catalog tables": reference.catalog_tables,
    "collectives": interconnect.collectives,
    "answers": reference.answers,
    "catalog counts": reference.catalog_counts,
    "optimality": accuracy.optimality,
    "priors": accuracy.priors,
    "commands": reference.commands,
    "exit codes": reference.exit_codes,
    "look-ups": reference.look_ups,
    "published runs": accuracy.published_runs,
    "serving rates": accuracy.serving,
}
_PART = re.compile(r"(<!-- generated: ([a-z -]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page, README first."""
    return [path for pattern in PAGES for path in sorted(console.ROOT.glob(pattern))]


def page_text(path: Path) -> str:
    """What a page should hold."""
    text = _PART.sub(_generated, path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "examples").symlink_to(console.ROOT / "examples")
        return console.refreshed(text, folder)


def _generated(match: re.Match[str]) -> str:
    return f"{match[1]}\n{GENERATED[match[2]]()}\n\n{match[3]}"


def stale() -> Iterator[tuple[Path, str]]:
    """Pages that are not as they should be, and what they should hold."""
    for path in pages():
        text = page_text(path)
        if text != path.read_text(encoding="utf-8"):
            yield path, text


def main(arguments: list[str]) -> int:
    """Rewrites what is out of date, or with `--check` only names it and returns 1."""
    check = "--check" in arguments
    found = 0
    for path, text in stale():
        found += 1
        print(path.relative_to(console.ROOT), flush=True)
        if not check:
            path.write_text(text, encoding="utf-8")
    if found and check:
        print("out of date: run `python -m docs.generate`", file=sys.stderr)
    return int(found > 0 and check)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
