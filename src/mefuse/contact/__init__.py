"""A contact sheet of one bracket: `run.py` makes it, `panels.py` what it shows, `draw.py` how."""
