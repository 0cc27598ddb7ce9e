"""One folder per serving engine: what is legal, memory per device, command line, log."""
