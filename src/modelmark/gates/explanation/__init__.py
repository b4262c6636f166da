"""What the answers rest on, and whether a glass box does as well."""
