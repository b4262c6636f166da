"""Builders supply the usual; a test names only what matters to it."""
