"""Trying whether a version's monitors would find what can go wrong: faults in a copy of its traffic."""
