"""The SHA-256 of every weights file that ships with this version. A leaf.

A file of that name with other bytes is refused. `make pins` prints this table anew.
"""

PINS = {
    "deepfuse": "667200ead82219ba7ba8ec51ebf7181531573486fa57e99e46ca514f7e0c5add",
    "ipl": "6dccde0c4e035c23407abaac07853dfe8b1f66303e01c8f168e5b6d7c65575e3",
    "lcndr": "efa7d591af2739fa4ea1f56a9268aa2678ee57fd48ab638c91a243430a9d3118",
}
