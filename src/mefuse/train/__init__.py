"""Training of mefuse's networks: data, loss, loop and recipes. `python -m mefuse.train RECIPE`."""
