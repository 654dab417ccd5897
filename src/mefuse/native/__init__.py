"""The innermost arithmetic in C: what `warp` and `host` compute of every pixel, in one pass.

Built with the package where a C compiler is at hand (`hatch_build.py`); without it, or on a
processor without AVX2, the same is done in numpy and OpenCV, several times slower. Tests hold both
to the same definitions.
"""
