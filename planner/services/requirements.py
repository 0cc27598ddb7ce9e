"""The requirements page of a model: every quantization, the machines that hold it, the questions.

A service: reads the catalogs, asks the engine's accounting, and returns one value. Figures are
exact, or those of the public pages' formula (`nominal`); verdicts are always exact.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner import __version__, accounting
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, ModelRow, Quantization
from planner.engines.llama_cpp import overheads
from planner.errors import RequestError
from planner.model.architecture import Architecture, Dense, Grouped, Latent, MixtureOfExperts
from planner.model.own_quantization import OWN
from planner.model.tensors import active_parameters, parameters
from planner.services import requirements_figures as figures
from planner.services.requirements_answers import CONSUMER_GPU, Page, answers
from planner.services.requirements_fits import Fits, places
from planner.services.requirements_machines import machines
from planner.services.requirements_notes import notes
from planner.services.requirements_values import (
    LeftOut,
    Machine,
    MemoryParts,
    Method,
    QuantizationNeeds,
    Requirements,
    Specifications,
)
from planner.subject import Subject, window_of
from planner.units import MIB

__all__ = ["Requirements", "requirements"]

EXPERTS_ONLY = "MXFP4_MOE"
"""A mix that differs from Q8_0 in the routed experts only."""


def requirements(model: str, catalog: Catalog, method: Method = "true") -> Requirements:
    """The requirements page of `model`.

    Raises:
        UnknownName: no model has that name.
    """
    row = catalog.model(model)
    window = window_of(catalog, row.name)
    offered, not_offered = _mixes(catalog, row, window)
    subjects = [figures.subject_at(catalog, row.name, mix.name, window) for mix in offered]
    subjects.sort(key=lambda at: (at.weights.total_bytes, at.quantization.rank))
    recommended = next(at for at in subjects if at.quantization.name == row.recommended)
    gpu = catalog.gpu(figures.HYPOTHETICAL_GPU)
    short = figures.subject_at(catalog, row.name, row.recommended, figures.SHORT_CONTEXT)
    parts = figures.memory_parts(short, gpu), figures.memory_parts(recommended, gpu)
    rows = _rows(catalog, row, subjects, gpu, parts, method)
    everywhere, unjudged = places(catalog)
    fits = Fits(catalog, subjects, recommended, everywhere)
    held = machines(catalog, fits, everywhere)
    architecture = recommended.architecture
    specifications = _specifications(row, architecture)
    nominal = figures.nominal_method(row, architecture, parts[1].kv_cache)
    mtp = any(layer.mtp for layer in architecture.layers)
    page = Page(
        model=specifications,
        method=method,
        rows=rows,
        full=parts[1],
        machines=held,
        consumer_title=_consumer_title(catalog),
        short_quant=_short_quant(catalog, subjects, parts),
        reserve=overheads.RESERVE,
    )
    return Requirements(
        method=method,
        model=specifications,
        recommended=row.recommended,
        short_context=figures.SHORT_CONTEXT,
        quantizations=rows,
        parts=parts,
        hypothetical_device=gpu.title,
        nominal_method=nominal,
        machines=held,
        left_out=(*not_offered, *unjudged),
        answers=answers(page),
        notes=notes(rows, nominal, parts, gpu, method, mtp=mtp),
        assumptions=_assumptions(catalog, held, recommended),
        planner_version=__version__,
        catalog_digest=catalog.digest,
    )


def _mixes(
    catalog: Catalog, row: ModelRow, window: int
) -> tuple[tuple[Quantization, ...], tuple[LeftOut, ...]]:
    """The GGUF mixes that make sense for a model, and those that do not."""
    mixes = [mix for mix in catalog.quantizations.values() if mix.kind == "gguf"]
    if row.recommended not in {mix.name for mix in mixes}:
        raise RequestError(
            f"{row.name}: its recommended quantization {row.recommended} is not a GGUF mix",
            hint="the page is about llama.cpp; recommend a GGUF mix in the model's catalog row",
        )
    at = figures.subject_at(catalog, row.name, row.recommended, window)
    if at.architecture.has_experts:
        return tuple(mixes), ()
    reason = "the model has no routed experts: the file would be that of Q8_0"
    left = tuple(LeftOut(name=m.name, reason=reason) for m in mixes if m.name == EXPERTS_ONLY)
    return tuple(mix for mix in mixes if mix.name != EXPERTS_ONLY), left


def _rows(
    catalog: Catalog,
    row: ModelRow,
    subjects: Sequence[Subject],
    gpu: Gpu,
    parts: tuple[MemoryParts, MemoryParts],
    method: Method,
) -> tuple[QuantizationNeeds, ...]:
    """One row a quantization, smallest first; or the public pages' first, in their order."""
    fewer = parts[1].total - parts[0].total
    rows = [_row(row, at, gpu, fewer) for at in subjects]
    if method == "nominal":
        place = {name: number for number, name in enumerate(catalog.quantizations)}
        listed = sorted((r for r in rows if r.nominal), key=lambda r: place[r.quant])
        rows = [*listed, *(r for r in rows if not r.nominal)]
    return tuple(rows)


def _row(row: ModelRow, at: Subject, gpu: Gpu, fewer: int) -> QuantizationNeeds:
    mix, architecture = at.quantization, at.architecture
    nominal = None
    if mix.nominal_bits is not None:
        nominal = figures.nominal_figures(
            row.page_parameters or row.parameters,
            mix.nominal_bits,
            layers=architecture.depth,
            hidden=architecture.hidden,
            window=architecture.context_length,
        )
    true = figures.true_figures(at, gpu, fewer)
    return QuantizationNeeds(
        quant=mix.name,
        quality=mix.quality,
        rank=mix.rank,
        recommended=mix.name == row.recommended,
        true=true,
        nominal=nominal,
        differs=figures.differing(true, nominal),
    )


def _specifications(row: ModelRow, architecture: Architecture) -> Specifications:
    return Specifications(
        name=row.name,
        title=row.title,
        publisher=row.publisher,
        family=str(row.config.get("model_type", architecture.gguf_name)),
        architecture=architecture.gguf_name,
        mechanisms=_mechanisms(architecture),
        parameters=parameters(architecture),
        active_parameters=active_parameters(architecture),
        layers=architecture.depth,
        context=architecture.context_length,
        vocabulary=architecture.vocabulary,
        license=row.license,
        released=None if row.released is None else row.released.isoformat(),
        repositories=tuple(repository.id for repository in row.repositories),
        gguf_repositories=tuple(r.id for r in row.repositories if r.kind == "gguf"),
        source=row.source,
    )


def _mechanisms(architecture: Architecture) -> tuple[str, ...]:
    """How its layers attend and feed forward, each kind once."""
    found: dict[str, None] = {}
    for layer in architecture.layers:
        match layer.mixer:
            case Latent():
                found["latent attention"] = None
            case Grouped(window=None):
                found["full attention"] = None
            case Grouped(window=window):
                found[f"attention over a window of {window:,} tokens"] = None
            case None:
                pass
            case mixer:
                found[f"a state of constant size ({mixer.kind.replace('_', ' ')})"] = None
    for layer in architecture.layers:
        match layer.network:
            case MixtureOfExperts(experts=experts, used=used):
                found[f"{used} of {experts} experts a token"] = None
            case Dense():
                found["dense layers"] = None
    return tuple(found)


def _consumer_title(catalog: Catalog) -> str:
    gpu = catalog.gpus.get(CONSUMER_GPU)
    return CONSUMER_GPU if gpu is None else gpu.title


def _short_quant(
    catalog: Catalog, subjects: Sequence[Subject], parts: tuple[MemoryParts, MemoryParts]
) -> str | None:
    """The largest quantization one consumer card holds with the short context."""
    gpu = catalog.gpus.get(CONSUMER_GPU)
    capacity = None if gpu is None else accounting.capacity_of(gpu)
    if gpu is None or capacity is None:
        return None
    fewer = sum((parts[1].kv_cache, parts[1].compute)) - sum((parts[0].kv_cache, parts[0].compute))
    for at in reversed(subjects):
        held = figures.memory_parts(at, gpu).total - fewer + overheads.RESERVE
        if held <= capacity.bytes:
            return at.quantization.name
    return None


def _assumptions(catalog: Catalog, held: Sequence[Machine], at: Subject) -> tuple[str, ...]:
    """What was assumed about the machines, in one sentence each."""
    gpus = [catalog.gpu(name) for name in dict.fromkeys(machine.gpu for machine in held)]
    capacities = {gpu.title: accounting.capacity_of(gpu) for gpu in gpus}
    idle = [title for title, c in capacities.items() if c is not None and c.assumption is not None]
    contexts: dict[int, list[str]] = {}
    for gpu in gpus:
        runtime = overheads.runtime(gpu, at.architecture, at.settings)
        if runtime.assumption is not None:
            contexts.setdefault(runtime.bytes, []).append(gpu.title)
    found = list(at.architecture.assumptions)
    if at.row.file:
        found.append(
            f"{OWN} is the file's own tensors; the other quantizations are by the rules of their "
            "mixes, and would need to be made from 16-bit weights"
        )
    found += [
        f"the engine's context and libraries take {size // MIB} MiB on {_some(titles)}: "
        "nobody has logged them there"
        for size, titles in contexts.items()
    ]
    if idle:
        found.append(
            f"the driver keeps {accounting.ASSUMED_RESERVED // MIB} MiB of an idle "
            f"{_some(idle, 'or')}: not published"
        )
    return tuple(found)


def _some(titles: Sequence[str], word: str = "and") -> str:
    """The first of several names and how many more there are."""
    shown = titles[:2] if len(titles) > 3 else titles
    more = len(titles) - len(shown)
    names = [*shown, f"{more} other devices"] if more else list(shown)
    return ", ".join(names[:-1]) + f" {word} {names[-1]}" if len(names) > 1 else names[0]
