"""Which plan a launch file belongs to."""

from __future__ import annotations

import hashlib
import json

from planner.export import shell
from planner.plan import Plan


def title_of(plan: Plan) -> str:
    """Which plan this is, of which planner, for which engine; one line.

    The digest is the first 12 hex digits of the SHA-256 of the plan's JSON with sorted keys and
    no spaces.
    """
    content = json.dumps(plan.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return shell.one_line(
        f"plan {digest}: {plan.model.name} {plan.model.quant} for {plan.engine.name}"
        f" {plan.engine.build}, by gpu-deployment-planner {plan.planner_version}"
    )
