"""The SHA-256 of every weights file that ships with this version. A leaf.

A file of that name with other bytes is refused. `make pins` prints this table anew.
"""

PINS = {
    "deepfuse": "5647f0dafe746cc574c45764005a9f3ed6450512472735e22549655a631f3d1b",
    "ipl": "a03951a26fd9afaecc788c4262a5e39fa2a3963deec5375ba8767723e5005a49",
    "lcndr": "7e750d6e64316b87665c07da93ae41feb938ef38dd95b41f13798eb7e86a7dda",
}
