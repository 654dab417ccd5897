"""All that a CPU computes of a fusion, in numpy and OpenCV's vector primitives, without torch.

The definitions are torch's: `blend.py`, `features.py` and `models/`; tests hold each function here
to the one of the same name there. Plain float32 without gradients, one bracket at a time, so arrays
lack the dimension B. Importing torch alone takes longer than fusing three frames of 4K here.
"""
