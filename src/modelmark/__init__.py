"""Takes a trained model from a file to a production endpoint, and keeps it honest there. Importing it does nothing."""

__version__ = "0.1.0"
