"""Noise, faults and attacks."""
