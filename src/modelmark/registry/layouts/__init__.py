"""Folders in which other servers keep models: what of them can be registered here. One file a layout; only texts are read."""
