"""Experiments: what came of their arms, and what it says."""
