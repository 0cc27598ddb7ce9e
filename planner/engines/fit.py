"""Whether something fits where overheads are known between bounds only. Engines layer, shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from planner.engines.ranges import Range
from planner.engines.sharding import Rank

TIGHT = 50
"""Less than a 50th of the device to spare is tight."""

Verdict = Literal["fits", "tight", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether a number of full sequences fits."""

    verdict: Verdict
    tightest: Rank
    headroom: int
    """Bytes left on it with the least favourable overheads; negative is short of."""
    longest: Range
    """Tokens of the longest single sequence."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a class of ranks has left."""

    rank: Rank
    left: Range
    """Bytes, negative where short: high with low overheads."""
    device: int


def judged(rooms: Sequence[Room], longest: Range) -> Fit:
    """The verdict over all ranks.

    `fits` if there is room though all overheads are high, and a fiftieth of the device to spare if
    they are as expected; `refused` if not even low ones leave room; `tight` between.
    """
    tightest = min(rooms, key=lambda room: room.left.low)
    spare = all(room.left.best * TIGHT >= room.device for room in rooms)
    if min(room.left.high for room in rooms) < 0:
        verdict: Verdict = "refused"
    else:
        verdict = "fits" if tightest.left.low >= 0 and spare else "tight"
    return Fit(verdict=verdict, tightest=tightest.rank, headroom=tightest.left.low, longest=longest)
