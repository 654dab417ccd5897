"""Camera raw files -> pixels, through LibRaw; loaded only when a raw file is read."""
