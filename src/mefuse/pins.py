"""The SHA-256 of every weights file that ships with this version. A leaf.

A file of that name with other bytes is refused. `make pins` prints this table anew.
"""

PINS = {
    "ipl": "a03951a26fd9afaecc788c4262a5e39fa2a3963deec5375ba8767723e5005a49",
}
