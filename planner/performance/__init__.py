"""How fast: terms of one step and their calibration."""
