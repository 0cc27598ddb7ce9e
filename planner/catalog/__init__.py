"""The catalogs: typed rows of GPUs, nodes, prices, networks, models and quantizations."""

from planner.catalog.load import Catalog, load_catalog

__all__ = ["Catalog", "load_catalog"]
