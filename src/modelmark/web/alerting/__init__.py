"""Pages about what was told."""
