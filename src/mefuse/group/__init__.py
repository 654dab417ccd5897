"""Finds brackets among many files: run.py is the way in, `find_brackets` its one function."""
