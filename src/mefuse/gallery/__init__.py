"""One HTML page of a whole batch: `run.py` writes it, see ARCHITECTURE.md for the other files."""
