"""Reads what a machine's own tools print about it: one file per format, text in, `Dump` out.

Topology layer. Nothing here opens a file, runs a command or knows the catalogs.
"""
