"""How fast it will be, what the range stands on, and how long the first token takes."""

from __future__ import annotations

from collections.abc import Sequence

from planner.plan import Body, Performance, Prefill
from planner.report import words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Line, Tone, line, row
from planner.units import significant
from planner.values import Range

_TERMS_SHOWN = 4
_BAR = 30
"""Characters of a bar of all the time."""


def speed(body: Body, concurrency: int, *, explained: bool = False) -> list[Block]:
    """Tokens per second by depth, calibration, the parts of one token, first tokens.

    `explained` draws all parts as bars, at every depth.
    """
    if not body.performance:
        return []
    unit = "; tok/s of all users and of each" if concurrency > 1 else ""
    blocks: list[Block] = [
        Heading("Speed", f"low is the pessimist's case; depth is what the cache holds{unit}"),
        _table(body.performance, concurrency),
    ]
    blocks += _calibration(body.performance)
    if explained:
        blocks += [_bars(entry) for entry in body.performance if entry.terms]
    else:
        blocks += _terms(body.performance[0])
    return blocks + [_first_token(prefill) for prefill in body.prefill]


def _table(performance: Sequence[Performance], concurrency: int) -> Grid:
    users = concurrency > 1
    columns = [Column("depth, tokens", right=True), *_rates("all" if users else "tok/s")]
    if users:
        columns += _rates("each")
    columns.append(Column("per token", right=True))
    rows = []
    for entry in performance:
        cells = [Cell(words.tokens(entry.depth)), *_cells(entry.tokens_per_second)]
        if users:
            cells += _cells(entry.tokens_per_second_per_user)
        rows.append(row(*cells, words.seconds(entry.tpot.best)))
    return Grid(tuple(columns), tuple(rows))


def _rates(unit: str) -> list[Column]:
    return [Column(f"{unit} {case}", right=True) for case in ("low", "best", "high")]


def _cells(estimate: Range) -> list[Cell]:
    return [
        Cell(words.rate(estimate.low)),
        Cell(words.rate(estimate.best), "strong"),
        Cell(words.rate(estimate.high)),
    ]


def _calibration(performance: Sequence[Performance]) -> list[Line]:
    lines: list[Line] = []
    for text in dict.fromkeys(entry.calibration for entry in performance):
        tone: Tone = "warn" if text.startswith("uncalibrated") else "dim"
        lines.append(line(Cell(text if tone == "warn" else f"calibration: {text}", tone)))
    return lines


def _terms(performance: Performance) -> list[Line]:
    total = sum(term.seconds.best for term in performance.terms)
    if total <= 0:
        return []
    largest = sorted(performance.terms, key=lambda term: -term.seconds.best)[:_TERMS_SHOWN]
    shares = ", ".join(f"{term.name} {100 * term.seconds.best / total:.0f} %" for term in largest)
    return [line(Cell(f"one token's time: {shares}", "dim"))]


def _bars(performance: Performance) -> Grid:
    """Every part of one token's time: range, share of the best estimate, and a bar of it."""
    total = sum(term.seconds.best for term in performance.terms) or 1.0
    columns = (
        Column(f"one token at {words.tokens(performance.depth)}, ms"),
        *(Column(case, right=True) for case in ("low", "best", "high", "share")),
        Column(""),
    )
    rows = []
    for term in sorted(performance.terms, key=lambda term: -term.seconds.best):
        share, times = term.seconds.best / total, term.seconds
        rows.append(
            row(
                term.name,
                *(significant(1000 * x, 2) for x in (times.low, times.best, times.high)),
                f"{100 * share:.0f} %",
                Cell("=" * max(round(share * _BAR), 1), "strong"),
            )
        )
    return Grid(columns, tuple(rows))


def _first_token(prefill: Prefill) -> Line:
    prompt = f"first token of a {words.tokens(prefill.tokens)}-token prompt: "
    wait = words.wait_span(prefill.ttft)
    if prefill.usable:
        return line(prompt, wait)
    return line(
        Cell("warning: ", "warn"), prompt, Cell(wait, "warn"), "; not usable for prompts this long"
    )
