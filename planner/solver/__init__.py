"""The search for the cheapest, best-value and fastest plan, and its proof."""

from planner.solver.answer import solve

__all__ = ["solve"]
