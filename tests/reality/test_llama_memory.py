"""Our memory per device against llama.cpp's own tables, row by row; prints a scoreboard."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import pytest

from planner.units import MIB
from tests.reality.llama_tables import (
    Case,
    architecture_of,
    cases,
    fewest_of_a_kind,
    memory_of,
    predicted,
    settings_of,
)

FILES = {
    "llama_fit_b11434.csv": "b11434",
    "llama_server_b11434.csv": "b11434",
    "llama_server_b10434.csv": "b10434",
}
ROWS = {
    "llama_fit_b11434.csv": 442,
    "llama_server_b11434.csv": 2091,
    "llama_server_b10434.csv": 1872,
}
ENOUGH_LAYERS = 3
"""Layers of one kind on every device from which compute has an upper tolerance too."""


@dataclasses.dataclass
class Score:
    """How compute compares over many rows."""

    rows: int = 0
    equal: int = 0
    under: int = 0
    worst: float = 0.0

    def add(self, ours: int, theirs: int) -> None:
        self.rows += 1
        self.equal += ours == theirs
        self.under += ours < theirs
        self.worst = max(self.worst, ours / max(theirs, 1) - 1)

    def __str__(self) -> str:
        return (
            f"{self.rows:5} rows, {self.equal:5} equal, {self.under} under, "
            f"worst {100 * self.worst:.1f} % over"
        )


def tables(file: str) -> list[tuple[Case, list[tuple[tuple[int, ...], tuple[int, ...]]]]]:
    """Each case with (ours, theirs) in MiB of every device in order and of the host."""
    build, found = FILES[file], []
    for case in cases(file):
        slots = 1 if "fit" in file else 4
        settings = settings_of(case.arguments, build, default_slots=slots)
        devices, host = predicted(
            memory_of(case, settings), case.split, pipelined=settings.rpc_pipelines
        )
        ours = [tuple(part // MIB for part in memory) for memory in (*devices, host)]
        found.append((case, list(zip(ours, (*case.devices, case.host), strict=True))))
    return found


@pytest.mark.parametrize("file", FILES)
def test_weights_and_cache_are_the_printed_mib_on_every_device_and_the_host(file):
    compared = 0
    for case, rows in tables(file):
        for ours, theirs in rows:
            assert ours[:2] == theirs[:2], (case.model, case.split, case.arguments)
            compared += 1
    assert compared == ROWS[file]


@pytest.mark.parametrize("file", FILES)
def test_compute_is_never_under_and_close_where_devices_hold_three_layers(file, capsys):
    scores: dict[str, Score] = defaultdict(Score)
    for case, rows in tables(file):
        context = (case.model, case.split, case.arguments)
        enough = fewest_of_a_kind(architecture_of(case.model), case.split) >= ENOUGH_LAYERS
        *devices, host = [(ours[2], theirs[2]) for ours, theirs in rows]
        if "fit" in file:
            ours, theirs = devices.pop()
            assert ours <= 1.2 * theirs, context
        for ours, theirs in devices:
            scores["3 layers" if enough else "fewer"].add(ours, theirs)
            assert ours >= theirs, context
            assert not enough or ours <= 1.1 * theirs, context
        scores["host"].add(*host)
        assert host[0] >= host[1], context
        assert host[0] <= 1.1 * host[1], context
    with capsys.disabled():
        print(f"\n{file}: compute")
        for kind, score in sorted(scores.items()):
            print(f"  {kind:9}{score}")
    assert scores["3 layers"].rows > 250
    assert scores["3 layers"].equal == scores["3 layers"].rows
    assert scores["fewer"].equal >= 0.95 * scores["fewer"].rows
    assert scores["host"].equal == scores["host"].rows


def test_the_last_device_is_at_least_what_the_server_reserves_where_both_were_asked():
    """llama-fit-params reserves logits for a whole micro-batch there; the server does not."""

    def key(case: Case) -> tuple[object, ...]:
        settings = settings_of(case.arguments, "b11434", default_slots=1)
        return case.model, case.quant, len(case.split), settings

    server = {
        key(case): case
        for case in cases("llama_server_b11434.csv")
        if "-np" in case.arguments and max(case.split) - min(case.split) <= 1
    }
    compared = 0
    for case, rows in tables("llama_fit_b11434.csv"):
        twin = server.get(key(case))
        if twin is not None:
            assert rows[-2][0][2] >= twin.devices[-1][2], (case, twin)
            compared += 1
    assert compared >= 20
