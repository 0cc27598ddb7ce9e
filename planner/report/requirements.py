"""The requirements page of a model: figures, machines, questions, and how all was counted."""

from __future__ import annotations

from planner.report import proof, requirements_machines, words
from planner.report.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Command,
    Grid,
    Heading,
    Pairs,
    Tone,
    line,
    row,
)
from planner.services.requirements_figures import page_gigabytes, page_tenths
from planner.services.requirements_values import (
    Figure,
    Figures,
    QuantizationNeeds,
    Requirements,
    Specifications,
)
from planner.units import gigabytes

_FIGURES: tuple[tuple[str, Figure], ...] = (
    ("bits", "bits_per_weight"),
    ("memory", "memory_bytes"),
    ("+context", "full_memory_bytes"),
    ("file", "file_bytes"),
)


def render(page: Requirements) -> list[Block]:
    """The whole page."""
    return [
        line(
            Cell(page.model.title, "strong"),
            ": hardware requirements",
            Cell(f"  ({_counted(page)})", "dim"),
        ),
        Heading("Specifications"),
        _specifications(page.model),
        *_quantizations(page),
        *_parts(page),
        *requirements_machines.machines(page),
        Heading("Questions"),
        *_answers(page),
        Heading("How this was counted"),
        Bullets(tuple(Cell(note) for note in page.notes)),
        *proof.notes((), page.assumptions),
        Heading("Next"),
        Command(f"plan {page.model.name} --quant {page.recommended}", "the cheapest cluster"),
        proof.provenance(page.planner_version, page.catalog_digest),
    ]


def _counted(page: Requirements) -> str:
    if page.method == "nominal":
        return "the public pages' figures; --method true: exact ones"
    return "exact; --method nominal: the public pages' figures"


def _specifications(model: Specifications) -> Pairs:
    rows = (
        ("publisher", model.publisher or words.NONE),
        ("family", f"{model.family}, {model.architecture} in GGUF files"),
        ("architecture", ", ".join(model.mechanisms)),
        (
            "parameters",
            f"{words.parameters(model.parameters)} ({model.parameters:,}), "
            f"{words.parameters(model.active_parameters)} active",
        ),
        ("layers", str(model.layers)),
        ("context", f"{words.tokens(model.context)} tokens"),
        ("vocabulary", words.tokens(model.vocabulary)),
        ("license", model.license or words.NONE),
        ("released", model.released or words.NONE),
        ("published", ", ".join(model.repositories) or words.NONE),
    )
    return Pairs(tuple((name, Cell(text)) for name, text in rows))


def _quantizations(page: Requirements) -> list[Block]:
    """The table of figures, the other count beside it, and the quality in words."""
    columns = (
        Column("quantization"),
        *(Column(title, right=True) for title, _ in _FIGURES),
        *(Column(f"({title})", right=True) for title, _ in _FIGURES),
    )
    rows = tuple(_quantization(page, needs) for needs in page.quantizations)
    said = "exact" if page.method == "nominal" else "the public pages'"
    quality = tuple((needs.quant, Cell(needs.quality)) for needs in page.quantizations)
    return [
        Heading(
            "Memory by quantization, GB",
            f"at {page.short_context:,} tokens; * recommended; ({said}) where over 2 % apart",
        ),
        Grid(columns, rows, tight=True),
        Heading("Quality"),
        Pairs(quality),
    ]


def _quantization(page: Requirements, needs: QuantizationNeeds) -> tuple[Cell, ...]:
    nominal = page.method == "nominal"
    first, second = (needs.nominal, needs.true) if nominal else (needs.true, needs.nominal)
    tone: Tone = "strong" if needs.recommended else "plain"
    cells = [Cell(needs.quant + (" *" if needs.recommended else ""), tone)]
    cells += [Cell(_figure(first, name), tone) for _, name in _FIGURES]
    for _, name in _FIGURES:
        shown = name in needs.differs or first is None
        cells.append(Cell(f"({_figure(second, name)})" if shown and second else "", "dim"))
    return tuple(cells)


def _figure(figures: Figures | None, name: Figure) -> str:
    if figures is None:
        return words.NONE
    match name:
        case "bits_per_weight":
            return f"{figures.bits_per_weight:.2f}"
        case "file_bytes":
            return page_gigabytes(figures.file_bytes)
        case "memory_bytes" | "full_memory_bytes":
            return page_tenths(getattr(figures, name))


def _parts(page: Requirements) -> list[Block]:
    """What the recommended quantization's memory is made of."""
    names = ("tokens", "weights", "KV", "graph", "runtime", "device", "host")
    rows = tuple(
        row(
            words.tokens(part.tokens),
            *map(gigabytes, (part.weights, part.kv_cache, part.compute, part.runtime)),
            Cell(gigabytes(part.total), "strong"),
            gigabytes(part.host),
        )
        for part in page.parts
    )
    return [
        Heading(
            f"What {page.recommended} is made of, exact GB",
            f"on one {page.hypothetical_device}, as if it were large enough",
        ),
        Grid(tuple(Column(name, right=True) for name in names), rows),
    ]


def _answers(page: Requirements) -> list[Block]:
    return [line(Cell(answer.question, "strong"), f" {answer.answer}") for answer in page.answers]
