"""The model file, the graph and the packages: what they are, and whether they are known to be harmless."""
