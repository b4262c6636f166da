"""The user's own test suite."""
