"""The server at the agreed rate and beyond it."""
