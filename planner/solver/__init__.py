"""The search for the cheapest, best-value and fastest plan, and its proof."""
