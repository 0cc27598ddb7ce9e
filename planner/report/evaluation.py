"""A layout the user named: the same tables as a plan's, without prices and proof."""

from __future__ import annotations

from planner.plan import Evaluation
from planner.report import memory, proof, speed, words
from planner.report.blocks import Block, Cell, Line, line
from planner.report.choices import question


def render(evaluation: Evaluation) -> list[Block]:
    """What was asked, memory per device, verdict and remedies, speed where it is known."""
    engine = f"{evaluation.engine.name} {evaluation.engine.build}"
    return [
        question(evaluation.model, engine),
        _layout(evaluation),
        *memory.memory(evaluation),
        *memory.verdict(evaluation, evaluation.remedies),
        *memory.settings(evaluation),
        *speed.speed(evaluation, evaluation.model.concurrency),
        *proof.notes(evaluation.warnings, evaluation.assumptions, memory.commands(evaluation)),
        proof.provenance(evaluation.planner_version, evaluation.catalog_digest),
    ]


def _layout(evaluation: Evaluation) -> Line:
    split = ",".join(str(device.slots) for device in evaluation.devices)
    cluster = words.cluster(evaluation.cluster) or words.plural(
        len(evaluation.devices), "unnamed device"
    )
    engine = evaluation.engine
    settings = (
        f"; -ts {split}, -c {engine.context}, -np {engine.slots}, -ub {engine.ubatch}, "
        f"K/V {engine.kv_type}, flash attention {'on' if engine.flash_attention else 'off'}"
    )
    return line(Cell(cluster, "strong"), settings + (", --swa-full" if engine.swa_full else ""))
