"""The narrated run."""
