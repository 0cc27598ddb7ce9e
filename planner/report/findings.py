"""What `plan catalog check` found: breaches in full, the rest counted or listed by kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from planner.catalog.finding import Finding, Level
from planner.report import words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Tone, line, row
from planner.values import Value

_TITLES: dict[Level, tuple[str, Tone]] = {
    "error": ("Broken rules", "bad"),
    "unverified": ("Nobody has read these in a source", "warn"),
    "missing": ("Missing facts", "warn"),
    "stale": ("Old prices", "warn"),
}


class CheckReport(Value):
    """Everything the check has to say."""

    kind: Literal["catalog-check"] = "catalog-check"
    sound: bool
    """No rule is broken."""
    rows: int
    findings: tuple[Finding, ...]


def render(report: CheckReport) -> list[Block]:
    """The verdict, then one table per level."""
    errors = sum(finding.level == "error" for finding in report.findings)
    verdict = Cell("sound", "good") if report.sound else Cell("broken", "bad")
    rest = len(report.findings) - errors
    blocks: list[Block] = [
        line(
            verdict,
            f": {report.rows:,} rows, {words.plural(errors, 'broken rule')}, "
            f"{words.plural(rest, 'remark')}",
        )
    ]
    for level, (title, tone) in _TITLES.items():
        found = [finding for finding in report.findings if finding.level == level]
        if found:
            blocks += [Heading(title), _table(found, tone)]
    return blocks


def _table(findings: Sequence[Finding], tone: Tone) -> Grid:
    columns = (Column("table"), Column("row", keep=True), Column("field"), Column("what"))
    return Grid(
        columns,
        tuple(
            row(Cell(entry.table, "dim"), Cell(entry.name, tone), entry.field, entry.message)
            for entry in findings
        ),
    )
