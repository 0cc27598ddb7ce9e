"""The surroundings of every test: none of the variables the planner reads, no heap of other tests.

Readline, which pytest loads, sets COLUMNS for the processes it starts.
"""

from __future__ import annotations

import gc
import os

import pytest

for _name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PLANNER_CATALOG"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="module", autouse=True)
def _heap_of_its_own() -> None:
    """Takes what earlier modules left in caches out of garbage collection.

    The caches grow to two million objects. To search them takes a second of processor time, which
    would fall on whichever test runs at the moment, and some bound the time of what they call.
    """
    gc.collect()
    gc.freeze()
