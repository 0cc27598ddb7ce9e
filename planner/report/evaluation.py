"""A layout the user named: the same tables as a plan's, without prices and proof."""

from __future__ import annotations

from planner.plan import Evaluation, LlamaCpp, Serving
from planner.report import memory, proof, ranks, serving, speed, words
from planner.report.blocks import Block, Cell, Line, line
from planner.report.choices import question


def render(evaluation: Evaluation, *, explain_speed: bool = False) -> list[Block]:
    """What was asked, memory per device, verdict and remedies, speed where it is known."""
    engine = f"{evaluation.engine.name} {evaluation.engine.build}"
    return [
        question(evaluation.model, engine),
        _layout(evaluation),
        *memory.memory(evaluation),
        *serving.counted(evaluation.engine),
        *serving.pool(evaluation, evaluation.engine),
        *memory.verdict(evaluation, evaluation.remedies),
        *ranks.weights(evaluation),
        *memory.settings(evaluation),
        *speed.speed(evaluation, evaluation.model.concurrency, explained=explain_speed),
        *proof.notes(evaluation.warnings, evaluation.assumptions, memory.commands(evaluation)),
        proof.provenance(evaluation.planner_version, evaluation.catalog_digest),
    ]


def _layout(evaluation: Evaluation) -> Line:
    cluster = words.cluster(evaluation.cluster) or words.plural(
        len(evaluation.devices), "unnamed device"
    )
    match evaluation.engine:
        case LlamaCpp() as engine:
            settings = _llama_cpp(evaluation, engine)
        case Serving() as engine:
            settings = serving.layout(evaluation, engine)
    return line(Cell(cluster, "strong"), f"; {settings}")


def _llama_cpp(evaluation: Evaluation, engine: LlamaCpp) -> str:
    split = ",".join(str(device.slots) for device in evaluation.devices)
    return (
        f"-ts {split}, -c {engine.context}, -np {engine.slots}, -ub {engine.ubatch}, "
        f"K/V {engine.kv_type}, flash attention {'on' if engine.flash_attention else 'off'}"
        + (", --swa-full" if engine.swa_full else "")
    )
