"""The environment of every test: none of the variables the planner reads.

Readline, which pytest loads, sets COLUMNS for the processes it starts.
"""

from __future__ import annotations

import os

for _name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PLANNER_CATALOG"):
    os.environ.pop(_name, None)
