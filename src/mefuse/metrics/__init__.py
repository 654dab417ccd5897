"""Measures of fused pictures. Each measure is one module; none knows a file or a network."""
