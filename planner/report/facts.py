"""What a model is made of, for people: parameters, layers, bytes of a format, cache."""

from __future__ import annotations

import shlex

from planner.model.own_quantization import OWN
from planner.report import proof, words
from planner.report.blocks import (
    Block,
    Cell,
    Column,
    Command,
    Grid,
    Heading,
    Line,
    Pairs,
    line,
    row,
)
from planner.services.facts_values import (
    CacheFacts,
    CacheKind,
    Comparison,
    Facts,
    FormatFacts,
    LayerKind,
    StoredFacts,
)
from planner.units import gigabytes, significant

_KINDS_SHOWN = 12
_BILLION = 10**9
_SMALL = 5_000_000
"""Bytes that two decimals of a GB show as more than 0."""
_ORIGINS = {"catalog": "the catalogs", "config": "its config.json", "gguf": "its GGUF header"}
_PUBLISHED = {
    True: "",
    False: ", would need to be made",
    None: ", would need to be made unless published",
}
_MIXERS = {
    "grouped": "attention",
    "latent": "latent attention",
    "compressed": "shared K/V",
    "gated_delta": "gated delta net",
    "kimi_delta": "delta attention",
    "lightning": "linear attention",
    "mamba": "state space",
    "mamba2": "state space",
    "none": "no mixer",
}


def render(facts: Facts) -> list[Block]:
    """Everything, largest questions first."""
    return [
        _head(facts),
        Heading("Parameters"),
        _parameters(facts),
        *_layers(facts),
        *_format(facts),
        *_stored(facts.stored, facts.comparison),
        *_cache(facts.cache),
        Heading("Network"),
        _network(facts),
        *proof.notes((), facts.assumptions),
        Heading("Next"),
        *_next(facts),
        proof.provenance(facts.planner_version, facts.catalog_digest),
    ]


def _head(facts: Facts) -> Line:
    model = facts.model
    by = f", {model.publisher}" if model.publisher else ""
    return line(
        Cell(model.title, "strong"),
        f"{by}: {_size(facts.parameters.total)} parameters",
        Cell(f"  (from {_ORIGINS[model.origin]})", "dim"),
    )


def _parameters(facts: Facts) -> Pairs:
    counts = facts.parameters
    rows = [("text network", _count(counts.text))]
    if counts.mtp:
        rows.append(("MTP blocks", _count(counts.mtp)))
    if counts.vision:
        rows.append(("vision tower", _count(counts.vision)))
    if counts.vision is None:
        rows.append(("vision tower", "not counted"))
    if counts.total != counts.text:
        rows.append(("total", _count(counts.total)))
    if counts.routed_experts:
        share = f"{100 * counts.routed_share:.1f} % of the text network"
        active = f"{_size(counts.active_without_embedding)} without the embedding"
        rows.append(("active", f"{_count(counts.active)}; {active}"))
        rows.append(("routed experts", f"{_count(counts.routed_experts)}; {share}"))
    return Pairs(tuple((name, Cell(text)) for name, text in rows))


def _size(count: int) -> str:
    """`32.9 B`; of small networks `361 M`."""
    return words.parameters(count) if count >= _BILLION else f"{significant(count / 1e6)} M"


def _count(count: int) -> str:
    return f"{_size(count)}  {count:,}"


def _layers(facts: Facts) -> list[Block]:
    """Kinds of blocks; of a network with many kinds the first."""
    kinds = facts.layers
    depth = sum(kind.count for kind in kinds if not kind.mtp)
    mtp = sum(kind.count for kind in kinds if kind.mtp)
    columns = (
        Column("blocks", right=True),
        Column("mixer"),
        Column("feed-forward"),
        Column("parameters each", right=True),
    )
    note = words.plural(depth, "layer") + (f" and {words.plural(mtp, 'MTP block')}" if mtp else "")
    blocks: list[Block] = [
        Heading("Layers", note),
        Grid(columns, tuple(map(_layer, kinds[:_KINDS_SHOWN]))),
    ]
    if len(kinds) > _KINDS_SHOWN:
        blocks.append(line(Cell(f"and {len(kinds) - _KINDS_SHOWN} kinds more (--json)", "dim")))
    return blocks


def _layer(kind: LayerKind) -> tuple[Cell, ...]:
    network = kind.network + (", MTP" if kind.mtp else "")
    return row(f"{kind.count}", kind.mixer, network, f"{kind.parameters:,}")


def _format(facts: Facts) -> list[Block]:
    """Bytes by component in one format."""
    form = facts.format
    if form is None:
        return []
    columns = (
        Column("component"),
        Column("tensors", right=True),
        Column("parameters", right=True),
        Column("GB", right=True),
        Column("share", right=True),
        Column("stored as"),
    )
    rows = [
        row(
            entry.component.replace("_", " "),
            f"{entry.tensors:,}",
            f"{entry.parameters:,}",
            _gigabytes(entry.bytes),
            _share(entry.bytes, form.bytes),
            ", ".join(entry.types),
        )
        for entry in form.components
    ]
    total = (
        Cell("all", "strong"),
        Cell(f"{sum(entry.tensors for entry in form.components):,}"),
        Cell(f"{sum(entry.parameters for entry in form.components):,}"),
        Cell(gigabytes(form.bytes), "strong"),
        Cell(""),
        Cell(""),
    )
    return [
        Heading(_format_title(form), _format_note(form)),
        Grid(columns, (*rows, total)),
        *([] if facts.stored is not None else _compared(facts.comparison)),
    ]


def _gigabytes(size: int) -> str:
    """Decimal GB with two decimals."""
    return gigabytes(size) if size >= _SMALL or not size else "< 0.01"


def _share(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 0.05 else "0.0 %" if not part else "< 0.1 %"


def _format_title(form: FormatFacts) -> str:
    what = "the file as it is" if form.quant == OWN else form.quant
    return f"Bytes of {what}"


def _format_note(form: FormatFacts) -> str:
    bits = f"{form.bits_per_weight:.2f} bits per weight"
    if form.origin == "file":
        return f"{bits}; the file's own tensors"
    kind = "GGUF file" if form.kind == "gguf" else "checkpoint"
    return f"{bits}; {kind}{_PUBLISHED[form.published]}"


def _compared(compared: Comparison | None) -> list[Block]:
    """Files beside what the rules make of the network."""
    if compared is None:
        return []
    if compared.difference == 0 and not compared.differing:
        return [line(Cell(f"equal to {compared.format} to the byte", "good"))]
    size = f"{compared.bytes:,} bytes of {compared.format} by its rules"
    share = 100 * compared.difference / compared.bytes
    text = f"{compared.difference:+,} bytes ({share:+.2f} %) beside the {size}"
    if compared.differing:
        text += f"; {compared.differing:,} of {compared.tensors:,} tensors are stored otherwise"
    return [line(text)]


def _stored(stored: StoredFacts | None, compared: Comparison | None) -> list[Block]:
    """A checkpoint by dtype."""
    if stored is None:
        return []
    columns = (
        Column("dtype"),
        Column("tensors", right=True),
        Column("elements", right=True),
        Column("GB", right=True),
        Column("share", right=True),
    )
    rows = tuple(
        row(
            entry.type,
            f"{entry.tensors:,}",
            f"{entry.elements:,}",
            _gigabytes(entry.bytes),
            _share(entry.bytes, stored.bytes),
        )
        for entry in stored.types
    )
    note = f"{gigabytes(stored.bytes)} GB in {words.plural(stored.files, 'file')}"
    return [Heading("Checkpoint as stored", note), Grid(columns, rows), *_compared(compared)]


def _cache(cache: CacheFacts) -> list[Block]:
    """What a sequence keeps: by kind of layer, then as a whole."""
    if all(kind.growth == "nothing" for kind in cache.kinds):
        return [Heading("Cache of one sequence"), line("none: the network keeps nothing")]
    columns = (
        Column("layers", right=True),
        Column("mixer"),
        Column("grows"),
        Column("bytes per token", right=True),
        Column("at most, MB", right=True),
        Column("state, MB", right=True),
    )
    total = Cell(_bytes(cache.bytes_per_token), "strong")
    rows = [_kind(kind) for kind in cache.kinds]
    if len(rows) > 1:
        blank = Cell("")
        rows.append((blank, Cell("all", "strong"), blank, total, blank, blank))
    sizes = tuple(
        row(
            words.tokens(size.tokens),
            Cell(gigabytes(size.f16), "strong"),
            words.NONE if size.q8_0 is None else gigabytes(size.q8_0),
        )
        for size in cache.sizes
    )
    heads = (
        Column("tokens", right=True),
        Column("f16, GB", right=True),
        Column("q8_0, GB", right=True),
    )
    return [
        Heading("Cache of one sequence", "before an engine rounds or copies it"),
        Grid(heads, sizes),
        Heading("Cache by kind of layer", "in 16 bits"),
        Grid(columns, tuple(rows)),
    ]


def _kind(kind: CacheKind) -> tuple[Cell, ...]:
    grows = {
        "context": "with the context",
        "window": f"up to {kind.window or 0:,} tokens",
        "constant": "not at all",
        "nothing": "keeps nothing",
    }
    return row(
        f"{kind.layers}",
        _MIXERS.get(kind.mixer, kind.mixer),
        grows[kind.growth],
        _bytes(kind.bytes_per_token),
        _megabytes(kind.window_bytes),
        _megabytes(kind.state_bytes),
    )


def _bytes(amount: float) -> str:
    if not amount:
        return words.NONE
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.1f}"


def _megabytes(size: int) -> str:
    return significant(size / 1e6) if size else words.NONE


def _network(facts: Facts) -> Pairs:
    model = facts.model
    rows = [
        ("context", f"{words.tokens(model.context)} tokens"),
        ("vocabulary", f"{words.tokens(model.vocabulary)} tokens"),
        ("hidden state", f"{model.hidden:,} channels"),
        ("output", "the embedding (tied)" if model.tied else "a matrix of its own"),
        ("family", f"{model.family}, {model.architecture} in GGUF files"),
    ]
    if model.quantization_config is not None:
        rows.append(("checkpoint format", f"{model.quantization_config}, as its config states"))
    rows.append(("source", model.source))
    if not model.generates:
        rows.append(("use", "embeddings or labels: it writes no text"))
    return Pairs(tuple((name, Cell(text)) for name, text in rows))


def _next(facts: Facts) -> list[Block]:
    model = shlex.quote(facts.asked)
    return [
        Command(f"plan {model}", "the cheapest cluster"),
        Command(f"plan requirements {model}", "every quantization"),
    ]
