"""What the reader must know: assumptions that mattered, warnings, and what to run next."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from planner import accounting
from planner.accounting import capacity_assumptions
from planner.catalog.load import Catalog
from planner.engines.llama_cpp import overheads
from planner.engines.names import TITLES
from planner.model.own_quantization import OWN
from planner.plan import Body
from planner.solver.commands import command_of
from planner.solver.formulation import Formulation
from planner.solver.session import Session
from planner.subject import Subject, unpublished
from planner.units import GIB

if TYPE_CHECKING:
    from planner.served import Served

STALE = datetime.timedelta(days=90)
"""Age from which a price is called old, counted to the newest date of the catalogs."""


def assumptions(session: Session, formulation: Formulation, gpus: Sequence[str]) -> tuple[str, ...]:
    """Defaults that were taken and facts that were assumed, each one line."""
    request, subject = session.request, formulation.subject
    lines = []
    if subject.quantization.name == OWN:
        lines.append(f"weights: {subject.quantization.quality}")
    elif request.quant == "auto":
        lines.append(f"quantization {subject.quantization.name}: chosen, as none was asked for")
    if request.context is None:
        lines.append(f"context {subject.context:,} tokens per request: the model's full window")
    own = _slot_settings(subject) if isinstance(subject, Subject) else _grid_settings(subject)
    lines += [
        *own,
        f"workload {request.input_tokens:,} tokens in, {request.output_tokens:,} out; speed is "
        f"judged with {subject.depth:,} tokens in the cache",
    ]
    if session.catalog.overridden:
        lines.append(f"rows of an overlay used: {', '.join(session.catalog.overridden)}")
    if request.min_speed > 0:
        lines.append(
            f"every user gets at least {request.min_speed:g} tokens/s (--min-speed 0 lifts it)"
        )
    if request.ttft is not None:
        lines.append(f"the first token of the workload's prompt comes within {request.ttft:g} s")
    if request.tpot is not None:
        lines.append(f"every user gets a token within {request.tpot:g} s")
    if request.throughput is not None:
        lines.append(f"all users together get at least {request.throughput:g} tokens/s")
    if subject.architecture.layers[-1].mtp:
        where = "stored but not run" if isinstance(subject, Subject) else "not loaded"
        lines.append(f"multi-token-prediction blocks are {where}")
    lines += subject.assumptions
    if isinstance(subject, Subject):
        lines += accounting.memory_assumptions(session.catalog, subject, gpus)
    else:
        lines += capacity_assumptions(session.catalog, gpus)
    return tuple(dict.fromkeys(lines))


def _slot_settings(subject: Subject) -> list[str]:
    requests = "request" if subject.concurrency == 1 else "requests"
    return [
        f"{subject.concurrency} {requests} at a time, each with a private context: "
        f"-c {subject.settings.context}",
        f"KV cache in {subject.settings.key_type}; flash attention on; ubatch "
        f"{subject.settings.ubatch}",
        f"{overheads.RESERVE // GIB} GiB of every device is kept free as reserve",
        f"{subject.build.engine} build {subject.build.name}, all weights on devices",
    ]


def _grid_settings(subject: Served) -> list[str]:
    requests = "request holds" if subject.concurrency == 1 else "requests hold"
    kind = subject.options.kv_type
    return [
        f"{subject.concurrency} {requests} the whole context in the KV cache at the same time",
        f"KV cache in {'16 bits' if kind == 'auto' else kind}; no prefix is shared",
        f"{subject.title}: limits and share of memory as by its defaults, said in the launch files",
    ]


def warnings(session: Session, formulation: Formulation, body: Body) -> tuple[str, ...]:
    """What could go wrong with the cheapest choice, each one line."""
    return tuple(dict.fromkeys(_warnings(session, formulation, body)))


def _warnings(session: Session, formulation: Formulation, body: Body) -> Iterator[str]:
    request, catalog, subject = session.request, session.catalog, formulation.subject
    if isinstance(subject, Subject):
        if subject.row.usual:
            yield f"usually served another way: {subject.row.usual}"
        yield from unpublished(subject.row, subject.quantization.name)
    else:
        yield from _of_layout(subject, catalog, body)
    workload = request.input_tokens + request.output_tokens
    if workload > subject.context:
        yield (
            f"the workload of {workload:,} tokens does not fit the context of "
            f"{subject.context:,}: speed is judged with {subject.depth:,} tokens"
        )
    if body.verdict == "tight":
        yield "tight: the fullest device has under 2 % of its memory free; see the remedies"
    if subject.concurrency > 1 and isinstance(subject, Subject):
        yield (
            f"the {subject.concurrency} users share the speed of a single stream; batching would "
            "raise the total and is not counted"
        )
    calibration = body.performance[0].calibration
    if "uncalibrated" in calibration and request.min_speed > 0:
        yield (
            f"the minimum of {request.min_speed:g} tokens/s is met by the best estimate, not by "
            "the pessimist's: nobody has measured this combination"
        )
    for entry in body.cluster:
        if entry.setting_command:
            setting = catalog.gpu(entry.gpu).setting
            assert setting is not None
            yield (
                f"{entry.node_type}: run `{entry.setting_command}` first; without it a device "
                f"offers {setting.default / GIB:.1f} GiB instead of {setting.memory / GIB:.1f}"
            )
        if entry.price_date is not None:
            age = _newest(session) - datetime.date.fromisoformat(entry.price_date)
            if age > STALE:
                yield f"{entry.node_type}: the price is {age.days} days old ({entry.price_date})"
    idle = sum(device.slots == 0 for device in body.devices)
    if idle:
        what = "1 device idles" if idle == 1 else f"{idle} devices idle"
        if isinstance(subject, Subject):
            yield f"{what}: one llama.cpp process uses at most {subject.max_devices}"
        else:
            yield f"{what}: {TITLES[subject.engine]} uses as many devices of every machine"
    if any(host.unified for host in body.hosts):
        yield (
            "memory is shared with the host: while loading, the file cache competes with the "
            "weights; drop caches or load without mmap if it stalls"
        )
    for prefill in body.prefill:
        if not prefill.usable:
            yield (
                f"a prompt of {prefill.tokens:,} tokens waits about {prefill.ttft.best:,.0f} s "
                "for its first token: not usable interactively"
            )
    if any(device.node != body.devices[0].node for device in body.devices):
        what = "llama.cpp RPC has" if isinstance(subject, Subject) else "ranks talk with"
        yield f"{what} no authentication: keep it on a private network"


def _of_layout(served: Served, catalog: Catalog, body: Body) -> Iterator[str]:
    """What is worth knowing of a checkpoint and of its format on these devices."""
    from planner.accounting import grids, siting
    from planner.served import unpublished as unpublished_checkpoint
    from planner.verify.grid import site_of

    yield from unpublished_checkpoint(served)
    place = siting.place_of(catalog, site_of(catalog, body))
    yield from served.notes(grids.grid_of(body.layout), place)


def _newest(session: Session) -> datetime.date:
    return max(row.date for row in session.catalog.prices.values())


def next_commands(session: Session, formulation: Formulation) -> tuple[str, ...]:
    """Commands that take the plan further, in order."""
    request, subject = session.request, formulation.subject
    pinned = request.model_copy(update={"quant": subject.quantization.name})
    return (
        command_of(pinned, "-o", "plan.json"),
        "plan verify plan.json",
        f"plan export {subject.engine} plan.json -o launch",
        f"plan requirements {request.model}",
    )
