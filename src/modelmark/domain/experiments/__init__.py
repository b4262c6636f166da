"""Experiments: what is agreed before one begins, how it stands, and what is read from it."""
