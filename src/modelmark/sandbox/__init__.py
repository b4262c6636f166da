"""Processes that run code which is not ours, and how we speak with them."""
