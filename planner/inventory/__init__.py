"""The user's own machines: values, and the TOML file they are kept in."""

from planner.inventory.toml_file import LARGEST, from_toml, to_toml
from planner.inventory.values import Adapter, Inventory, Machine, OwnedDevice

__all__ = ["LARGEST", "Adapter", "Inventory", "Machine", "OwnedDevice", "from_toml", "to_toml"]
