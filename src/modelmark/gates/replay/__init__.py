"""Real or simulated traffic, sent to a server of its own."""
