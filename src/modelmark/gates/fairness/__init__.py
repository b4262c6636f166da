"""Whether the groups of sensitive columns are treated alike."""
