"""Measurements of mefuse: each module is a command of its own (`python -m mefuse.bench.NAME`)."""
