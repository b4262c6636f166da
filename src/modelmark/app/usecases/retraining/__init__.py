"""Training again, and training the same again."""
