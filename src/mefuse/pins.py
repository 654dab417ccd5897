"""The SHA-256 of every weights file that ships with this version. A leaf.

A file of that name with other bytes is refused. `make pins` prints this table anew.
"""

PINS = {
    "deepfuse": "ebe94c08b49a3af08531b590d30336c8e7d691689d61018eb03c18374f731304",
    "ipl": "af248390645a4cef34f257ad98fde2163ec8d00eed35d08e4e393beb06546877",
    "lcndr": "7e750d6e64316b87665c07da93ae41feb938ef38dd95b41f13798eb7e86a7dda",
}
