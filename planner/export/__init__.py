"""One file per target: plan to files."""
