"""What a GPU is asked to do: kernels, streams, graphs; loaded only where there is one.

`plain.py` and `fused.py` are two ways of the same work on pixels, in torch and in kernels, held
together by tests; `streams.py` carries pixels to the device and back beside the computing;
`graphs.py` records what is done again and again; `trust.py` is the rules on the device.
"""
