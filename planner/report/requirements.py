"""The requirements page of one model. Decimal GB for files and totals, GiB for devices."""

from __future__ import annotations

from collections.abc import Sequence

from planner.report import proof, words
from planner.report.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Grid,
    Heading,
    Line,
    Pairs,
    line,
    row,
)
from planner.services.requirements_values import (
    Figure,
    LeftOut,
    Machine,
    QuantizationNeeds,
    Requirements,
)
from planner.units import GB, significant

_FIGURES: tuple[Figure, ...] = (
    "bits_per_weight",
    "memory_bytes",
    "full_memory_bytes",
    "file_bytes",
)


def render(page: Requirements) -> list[Block]:
    """What is published, what each quantization needs, what runs it, questions answered."""
    return [
        *_specifications(page),
        *_quantizations(page),
        *_parts(page),
        *_machines(page),
        *_left_out(page.left_out),
        *_answers(page),
        *proof.notes((), page.assumptions),
        proof.provenance(page.planner_version, page.catalog_digest),
    ]


def _specifications(page: Requirements) -> list[Block]:
    model = page.model
    facts = (
        ("publisher", model.publisher),
        (
            "parameters",
            f"{words.parameters(model.parameters)}, "
            f"{words.parameters(model.active_parameters)} active per token",
        ),
        (
            "network",
            f"{model.architecture}, {model.layers} layers, {words.tokens(model.vocabulary)} words",
        ),
        ("context", f"{words.tokens(model.context)} tokens"),
        ("released, license", f"{model.released or 'unknown'}, {model.license or 'unknown'}"),
        ("files", ", ".join(model.repositories) or "none known"),
    )
    return [
        line(Cell(model.title, "strong"), Cell(f"  ({model.name})", "dim")),
        Pairs(tuple((label, Cell(text)) for label, text in facts)),
    ]


def _quantizations(page: Requirements) -> list[Block]:
    counted = "public pages' arithmetic" if page.method == "nominal" else "exact bytes"
    other = "exact bytes" if page.method == "nominal" else "public pages"
    note = f"GB, {counted}; in brackets: {other}, where more than 2 % apart; * is recommended"
    columns = (
        Column("", keep=True),
        Column("bits", right=True),
        Column(f"memory at {words.tokens(page.short_context)}", right=True),
        Column(f"at {words.tokens(page.model.context)}", right=True),
        Column("file", right=True),
        Column("quality"),
    )
    rows = tuple(_quantization(entry, page.method) for entry in page.quantizations)
    return [Heading("What each quantization needs", note), Grid(columns, rows), *_method(page)]


def _quantization(entry: QuantizationNeeds, method: str) -> tuple[Cell, ...]:
    nominal = method == "nominal"
    shown, other = (entry.nominal, entry.true) if nominal else (entry.true, entry.nominal)
    cells = []
    for figure in _FIGURES:
        text = words.NONE if shown is None else _figure(figure, getattr(shown, figure))
        if other is not None and figure in entry.differs:
            text += f" ({_figure(figure, getattr(other, figure))})"
        cells.append(Cell(text))
    name = f"{entry.quant}{' *' if entry.recommended else ''}"
    return (
        Cell(name, "strong" if entry.recommended else "plain"),
        *cells,
        Cell(entry.quality, "dim"),
    )


def _figure(figure: Figure, value: float) -> str:
    match figure:
        case "bits_per_weight":
            return f"{value:.2f}"
        case "file_bytes":
            return f"{value / GB:.2f}"
        case "memory_bytes" | "full_memory_bytes":
            return f"{value / GB:.1f}"


def _method(page: Requirements) -> list[Line]:
    method = page.nominal_method
    return [
        line(
            Cell(
                f"The public pages count {significant(method.parameters / 1e9, 5)} B weights and "
                f"2 x {method.layers} x {words.tokens(method.hidden)} x 2 = "
                f"{words.tokens(method.kv_bytes_per_token)} bytes of cache per token: "
                f"{method.kv_ratio:.1f} times what the engine allocates at the full window "
                f"({method.true_kv_bytes / GB:.2f} GB).",
                "dim",
            )
        )
    ]


def _parts(page: Requirements) -> list[Block]:
    titles = ("tokens", "weights", "KV", "compute", "runtime", "total", "on the host")
    rows = tuple(
        row(
            words.tokens(part.tokens),
            *map(words.gib, (part.weights, part.kv_cache, part.compute, part.runtime)),
            Cell(words.gib(part.total), "strong"),
            words.gib(part.host),
        )
        for part in page.parts
    )
    heading = Heading(f"Memory of {page.recommended}, GiB", page.hypothetical_device)
    return [heading, Grid(tuple(Column(title, right=True) for title in titles), rows)]


def _machines(page: Requirements) -> list[Block]:
    able = [machine for machine in page.machines if machine.verdict != "no"]
    unable = [machine for machine in page.machines if machine.verdict == "no"]
    heading = Heading(
        f"What runs {page.recommended} with {words.tokens(page.model.context)} tokens",
        f"{len(able)} of {len(page.machines)} machines and clusters",
    )
    if not able:
        return [heading, line(Cell("none of them", "warn"), *_smaller(unable))]
    columns = (
        Column("machines", keep=True),
        Column("devices"),
        Column("GiB each", right=True),
        Column("verdict"),
        Column("spare MiB", right=True),
        Column("largest that fits"),
    )
    blocks: list[Block] = [heading, Grid(columns, tuple(map(_machine, able)))]
    if unable:
        blocks.append(line(Cell("too small: " + ", ".join(map(_name, unable)), "dim")))
    return blocks + _settings(able)


def _smaller(unable: Sequence[Machine]) -> tuple[str, ...]:
    partly = [machine for machine in unable if machine.largest_quant is not None]
    if not partly:
        return ()
    best = ", ".join(f"{_name(machine)} holds {machine.largest_quant}" for machine in partly[:4])
    return (f"; with fewer bits: {best}",)


def _name(machine: Machine) -> str:
    return f"{machine.count}x {machine.node}"


def _machine(machine: Machine) -> tuple[Cell, ...]:
    used = f", {machine.devices_used} used" if machine.devices_used < machine.devices else ""
    new = machine.availability == "new"
    return row(
        Cell(_name(machine), "plain" if new else "dim"),
        f"{machine.devices}x {machine.gpu}{used}",
        words.gib(machine.capacity_bytes),
        words.verdict(machine.verdict),
        words.mib(machine.spare_bytes),
        machine.largest_quant or words.NONE,
    )


def _settings(machines: Sequence[Machine]) -> list[Block]:
    commands: dict[str, list[str]] = {}
    for machine in machines:
        if machine.setting_command:
            commands.setdefault(machine.setting_command, []).append(machine.node)
    return [
        line(Cell(f"set first on {', '.join(dict.fromkeys(nodes))}: {command}", "warn"))
        for command, nodes in commands.items()
    ]


def _left_out(entries: Sequence[LeftOut]) -> list[Block]:
    if not entries:
        return []
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        reasons.setdefault(entry.reason, []).append(entry.name)
    items = (f"{reason}: {', '.join(names)}" for reason, names in reasons.items())
    return [Heading("Without a verdict"), Bullets(tuple(map(Cell, items)))]


def _answers(page: Requirements) -> list[Block]:
    blocks: list[Block] = [Heading("Questions")] if page.answers else []
    for entry in page.answers:
        blocks += [line(Cell(entry.question, "strong")), line(entry.answer)]
    if page.notes:
        blocks += [Heading("Notes"), Bullets(tuple(Cell(note) for note in page.notes))]
    return blocks
