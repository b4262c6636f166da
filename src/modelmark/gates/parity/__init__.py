"""The served graph against the original model."""
