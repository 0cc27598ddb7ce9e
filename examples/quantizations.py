"""The cheapest cluster for each of some quantizations of one model.

Usage: python examples/quantizations.py MODEL BUDGET QUANT...
"""

from __future__ import annotations

import sys
from decimal import Decimal

from planner.catalog import load_catalog
from planner.request import PlanRequest
from planner.solver import solve


def main(model: str, budget: str, *quants: str) -> None:
    """Prints one line per quantization."""
    catalog = load_catalog()
    for quant in quants:
        outcome = solve(PlanRequest(model=model, quant=quant, budget=Decimal(budget)), catalog)
        if outcome.kind == "infeasible":
            print(f"{quant:10} no plan within ${Decimal(budget):,}")
            continue
        nodes = " + ".join(f"{node.count}x {node.node_type}" for node in outcome.cluster)
        speed = outcome.performance[0].tokens_per_second.best
        print(f"{quant:10} ${outcome.cost.purchase_usd:>8,.0f}  {speed:5.1f} tok/s  {nodes}")


if __name__ == "__main__":
    main(*sys.argv[1:])
