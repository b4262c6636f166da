"""Code that people wrote for their model: their tests and their training, run in a copy and without a network."""
