"""When to train again, on what, and whether what came of it is better. The training itself is people's own code."""
