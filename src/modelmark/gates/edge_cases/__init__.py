"""Odd inputs, and the outcome the contract promises for each."""
