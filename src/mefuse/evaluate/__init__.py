"""Measures fused pictures against their frames: which brackets, which methods, which scores."""

AVERAGE = "average"  # the name of the plain average, a method beside mefuse's models
