"""What weights belong to, for counting and for sizing files."""

from __future__ import annotations

from collections import Counter
from typing import Literal

Component = Literal[
    "embedding",
    "output",
    "norm",
    "attention",
    "dense",
    "router",
    "experts",
    "shared_experts",
    "mtp",
]
"""What a tensor belongs to; everything in an MTP block is `mtp`."""

Counts = Counter[Component]
