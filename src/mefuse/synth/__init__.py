"""Brackets that mefuse makes itself: scenes built in code, rendered to frames with known truth."""
