"""The questions people ask of a requirements page, answered from its figures in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.services.requirements_figures import SHORT_CONTEXT, page_gigabytes, page_tenths
from planner.services.requirements_values import (
    Answer,
    Figure,
    Figures,
    Machine,
    MemoryParts,
    Method,
    QuantizationNeeds,
    Specifications,
)
from planner.units import GIB, gigabytes, significant

CONSUMER_GPU = "rtx-5090-32"
"""The consumer card people ask about."""
COMFORT = 1.3
"""The public pages recommend so many times the memory of a quantization."""
EIGHT_BIT = "Q8_0"
TRAINED_IN = "MXFP4_MOE"
"""The mix of models whose experts were trained in 4 bits; recommended for these only."""
WORKSTATION_CARDS = 4
"""Cards in one machine up to which it is a workstation here."""
_SHOWN = 3
"""Machines named in one answer."""


class Page(NamedTuple):
    """What the answers are made from."""

    model: Specifications
    method: Method
    rows: Sequence[QuantizationNeeds]
    """Smallest file first."""
    full: MemoryParts
    """Of the recommended quantization, with the full window."""
    machines: Sequence[Machine]
    consumer_title: str
    short_quant: str | None
    """The largest quantization that one consumer card holds with the short context."""
    reserve: int

    @property
    def recommended(self) -> QuantizationNeeds:
        """The row of the recommended quantization."""
        return next(row for row in self.rows if row.recommended)

    def row(self, quant: str) -> QuantizationNeeds | None:
        """The row of one quantization, where the page has it."""
        return next((row for row in self.rows if row.quant == quant), None)

    def figures(self, row: QuantizationNeeds) -> Figures:
        """The figures of a row by the asked method; exact ones where the public pages have none."""
        return row.nominal if self.method == "nominal" and row.nominal else row.true

    def smallest(self, figure: Figure) -> QuantizationNeeds:
        """The row with the least of one figure, of those the method has figures for."""
        listed = [row for row in self.rows if self.method == "true" or row.nominal] or self.rows
        return min(listed, key=lambda row: getattr(self.figures(row), figure))


def answers(page: Page) -> tuple[Answer, ...]:
    """Every question, in the order of the public pages."""
    title = page.model.title
    asked = [
        (f"How much memory does {title} need?", _memory(page)),
        (f"Can one {page.consumer_title} run {title}?", _consumer_gpu(page)),
        (f"Which quantization of {title} is best?", _best(page)),
        (f"Can {title} run on a Mac?", _mac(page)),
        (f"Can {title} run locally?", _locally(page)),
        (f"How large is the download of {title}?", _download(page)),
    ]
    return tuple(Answer(question=question, answer=answer) for question, answer in asked if answer)


def _memory(page: Page) -> str:
    row, window = page.recommended, f"{page.model.context:,}"
    figures = page.figures(row)
    text = (
        f"{page_tenths(figures.memory_bytes)} GB at {row.quant} with {SHORT_CONTEXT:,} tokens in "
        f"the cache, {page_tenths(figures.full_memory_bytes)} GB with the full {window}"
    )
    eight = page.row(EIGHT_BIT)
    if eight is not None and eight is not row:
        text += f"; {page_tenths(page.figures(eight).memory_bytes)} GB at {EIGHT_BIT}"
    if figures is row.nominal:
        added = figures.full_memory_bytes - figures.memory_bytes
        comfort = float(page_tenths(figures.memory_bytes)) * COMFORT
        return (
            f"{text}. The full context adds {page_tenths(added)} GB; {comfort:.0f} GB or more is "
            f"recommended. The true figure with the full context is "
            f"{page_tenths(row.true.full_memory_bytes)} GB."
        )
    parts = page.full
    return (
        f"{text}. With the full context that is {gigabytes(parts.weights)} GB of weights, "
        f"{gigabytes(parts.kv_cache)} of KV cache, {gigabytes(parts.compute)} of activations and "
        f"{gigabytes(parts.runtime)} of runtime on one device as large as needed; the server's "
        f"machine holds {gigabytes(parts.host)} GB besides. Each device of a plan also keeps "
        f"{page.reserve // GIB} GiB free."
    )


def _consumer_gpu(page: Page) -> str:
    alone = next((m for m in page.machines if m.gpu == CONSUMER_GPU and m.devices == 1), None)
    if alone is None:
        return ""
    free = f"the {page_tenths(alone.capacity_bytes)} GB it has free"
    if alone.verdict != "no":
        better = _better_than_recommended(page, alone.largest_quant)
        return f"Yes: {page.recommended.quant} fits with the full context{better}."
    if alone.largest_quant is not None:
        return (
            f"Yes, with a smaller quantization: {alone.largest_quant} fits with the full context."
        )
    if page.short_quant is not None:
        return (
            f"Only with less than the full context: {page.short_quant} fits with "
            f"{SHORT_CONTEXT:,} tokens in the cache."
        )
    row = page.smallest("memory_bytes")
    needs = page_tenths(page.figures(row).memory_bytes)
    return f"No: {row.quant}, which needs least, takes {needs} GB, more than {free}."


def _better_than_recommended(page: Page, largest: str | None) -> str:
    if largest is None or largest == page.recommended.quant:
        return ""
    return f"; the largest that fits is {largest}"


def _best(page: Page) -> str:
    row = page.recommended
    text = f"{row.quant} ({_gb(page, row)}) is the recommended one"
    larger = [r for r in page.rows if r.rank > row.rank and (page.method == "true" or r.nominal)]
    if row.quant == TRAINED_IN:
        text += ": the model was trained in it, so that larger files are no better"
    elif larger:
        above = min(larger, key=lambda r: r.rank)
        text += f". {above.quant} ({_gb(page, above)}) is the next better"
    smallest = page.smallest("memory_bytes")
    if smallest is not row:
        text += f". {smallest.quant} needs least ({_gb(page, smallest)}; {smallest.quality})"
    return text + "."


def _gb(page: Page, row: QuantizationNeeds) -> str:
    return f"{page_tenths(page.figures(row).memory_bytes)} GB"


def _mac(page: Page) -> str:
    macs = [m for m in page.machines if m.gpu.startswith("apple-")]
    if not macs:
        return ""
    quant = page.recommended.quant
    for count in sorted({m.count for m in macs}):
        able = [m for m in macs if m.count == count and m.verdict != "no"]
        if able:
            smallest = min(able, key=lambda m: (m.availability != "new", m.capacity_bytes, m.node))
            setting = smallest.setting_command
            after = (f" after `{setting}`" if setting else "") + _speed(smallest)
            return f"Yes: {quant} fits {_named(smallest)} with the full context{after}."
    largest = max(macs, key=lambda m: (m.capacity_bytes * m.devices_used, m.node))
    if largest.largest_quant is None:
        return f"No: not even the smallest quantization fits {_named(largest)}."
    return (
        f"Not at {quant}: it does not fit {_named(largest)}; "
        f"{largest.largest_quant} is the largest that does."
    )


def _speed(machine: Machine) -> str:
    speed = machine.tokens_per_second
    return "" if speed is None else f", at about {significant(speed.best, 2)} tokens/s for one user"


def _named(machine: Machine) -> str:
    several = machine.count > 1
    return f"{machine.count} joined {machine.title}" if several else f"one {machine.title}"


def _locally(page: Page) -> str:
    own = [m for m in page.machines if m.kind != "rented" and m.availability == "new"]
    able = sorted(
        (m for m in own if m.verdict != "no"),
        key=lambda m: (m.capacity_bytes * m.devices, m.count, m.node),
    )
    quant = page.recommended.quant
    if not able:
        return f"No single machine of the catalog that can be bought new holds {quant}."
    kinds = {
        "one consumer card": [m for m in able if m.gpu == CONSUMER_GPU and m.devices == 1],
        "one machine with unified memory": [m for m in able if m.unified and m.machines == 1],
        f"a workstation with up to {WORKSTATION_CARDS} cards": [
            m
            for m in able
            if m.kind == "parts" and not m.unified and m.devices <= WORKSTATION_CARDS
        ],
        f"up to {WORKSTATION_CARDS} joined machines with unified memory": [
            m for m in able if m.unified and m.machines > 1
        ],
        "an 8-GPU server": [m for m in able if m.machines == 1 and m.devices == 8],
    }
    yes = [f"{name} ({found[0].title}{_times(found[0])})" for name, found in kinds.items() if found]
    no = [name for name, found in kinds.items() if not found]
    text = (
        f"At {quant} with the full context, yes on {_list(yes)}" if yes else f"Yes: {able[0].title}"
    )
    return text + (f"; not on {_list(no, 'or')}." if no else ".")


def _times(machine: Machine) -> str:
    return f" x {machine.count}" if machine.count > 1 else ""


def _list(items: Sequence[str], word: str = "and") -> str:
    return ", ".join(items[:-1]) + f" {word} {items[-1]}" if len(items) > 1 else items[0]


def _download(page: Page) -> str:
    row, smallest = page.recommended, page.smallest("file_bytes")
    text = f"{_file(page, row)} at {row.quant}"
    others = {EIGHT_BIT: page.row(EIGHT_BIT), smallest.quant: smallest}
    for name, other in others.items():
        if other is not None and other is not row:
            text += f", {_file(page, other)} at {name}"
    if page.model.gguf_repositories:
        text += f"; published at {_list(page.model.gguf_repositories)}"
    return text + "."


def _file(page: Page, row: QuantizationNeeds) -> str:
    return f"{page_gigabytes(page.figures(row).file_bytes)} GB"
